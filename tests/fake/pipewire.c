/* A producer of pictures that does as it is told, line by line on stdin, and says on stdout what
 * came of it. Its words are documented in pipewire.py, which runs it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/udmabuf.h>
#include <pipewire/pipewire.h>
#include <spa/param/video/format-utils.h>

enum { PADDING = 0xee, MOST_MODIFIERS = 4 };

/* Who makes the memory: we do, the daemon does; what it is, or is only said to be. */
static enum { MEMFD, OF_DAEMON, SO_CALLED_DMABUF, UDMABUF } kind;

static struct pw_main_loop *loop;
static struct pw_stream *stream;
static struct spa_hook hook;
static struct spa_video_info_raw info;
static int is_streaming, is_connected, n_modifiers;
static uint32_t format;
static struct spa_rectangle size;
static int64_t modifiers[MOST_MODIFIERS];

/* How the next picture is sent, and of what memory buffers are made. */
static struct {
    long long seed, stride, offset, size, chunk_flags, header_flags, pts, fill_stride, transform;
    long long crop[4], damage[4];
    long long cursor[6]; /* id, x, y, hotspot x, hotspot y, side of the image */
    long long file, max_size, map_offset, truncate, fixates;
} told;

static const struct { const char *name; long long *value; } words[] = {
    {"seed", &told.seed}, {"stride", &told.stride}, {"offset", &told.offset},
    {"size", &told.size}, {"chunk-flags", &told.chunk_flags},
    {"header-flags", &told.header_flags}, {"pts", &told.pts},
    {"fill-stride", &told.fill_stride}, {"transform", &told.transform},
    {"crop-x", &told.crop[0]}, {"crop-y", &told.crop[1]},
    {"crop-width", &told.crop[2]}, {"crop-height", &told.crop[3]},
    {"damage-x", &told.damage[0]}, {"damage-y", &told.damage[1]},
    {"damage-width", &told.damage[2]}, {"damage-height", &told.damage[3]},
    {"cursor-id", &told.cursor[0]}, {"cursor-x", &told.cursor[1]}, {"cursor-y", &told.cursor[2]},
    {"hotspot-x", &told.cursor[3]}, {"hotspot-y", &told.cursor[4]},
    {"cursor-side", &told.cursor[5]},
    {"file", &told.file}, {"max-size", &told.max_size}, {"map-offset", &told.map_offset},
    {"truncate", &told.truncate}, {"fixates", &told.fixates},
};

static void say(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
}

static long long *find(const char *name)
{
    for (size_t i = 0; i < SPA_N_ELEMENTS(words); i++)
        if (!strcmp(words[i].name, name))
            return words[i].value;
    fprintf(stderr, "unknown word %s\n", name);
    exit(2);
}

static int bytes_per_pixel(void)
{
    return info.format == SPA_VIDEO_FORMAT_RGB || info.format == SPA_VIDEO_FORMAT_BGR ? 3 : 4;
}

/* Our format, with the modifiers from the first one on. */
static const struct spa_pod *format_pod(struct spa_pod_builder *b, int count)
{
    struct spa_pod_frame object, choice;
    struct spa_fraction rate = {0, 1}, slowest = {1, 1}, fastest = {60, 1};
    spa_pod_builder_push_object(b, &object, SPA_TYPE_OBJECT_Format, SPA_PARAM_EnumFormat);
    spa_pod_builder_add(b, SPA_FORMAT_mediaType, SPA_POD_Id(SPA_MEDIA_TYPE_video),
                        SPA_FORMAT_mediaSubtype, SPA_POD_Id(SPA_MEDIA_SUBTYPE_raw),
                        SPA_FORMAT_VIDEO_format, SPA_POD_Id(format), 0);
    if (count) {
        spa_pod_builder_prop(b, SPA_FORMAT_VIDEO_modifier, SPA_POD_PROP_FLAG_MANDATORY |
                             (count > 1 ? SPA_POD_PROP_FLAG_DONT_FIXATE : 0));
        if (count > 1) {
            spa_pod_builder_push_choice(b, &choice, SPA_CHOICE_Enum, 0);
            spa_pod_builder_long(b, modifiers[0]);
        }
        for (int i = 0; i < count; i++)
            spa_pod_builder_long(b, modifiers[i]);
        if (count > 1)
            spa_pod_builder_pop(b, &choice);
    }
    spa_pod_builder_add(b, SPA_FORMAT_VIDEO_size, SPA_POD_Rectangle(&size),
        SPA_FORMAT_VIDEO_framerate, SPA_POD_Fraction(&rate),
        SPA_FORMAT_VIDEO_maxFramerate,
        SPA_POD_CHOICE_RANGE_Fraction(&fastest, &slowest, &fastest), 0);
    return spa_pod_builder_pop(b, &object);
}

static void on_state_changed(void *data, enum pw_stream_state old, enum pw_stream_state state,
                             const char *error)
{
    (void)data, (void)old;
    is_streaming = state == PW_STREAM_STATE_STREAMING;
    if (state == PW_STREAM_STATE_PAUSED && old == PW_STREAM_STATE_CONNECTING)
        printf("node %u\n", pw_stream_get_node_id(stream));
    printf("state %s%s%s\n", pw_stream_state_as_string(state), error ? " " : "", error ?: "");
    fflush(stdout);
}

static void on_param_changed(void *data, uint32_t id, const struct spa_pod *param)
{
    (void)data;
    if (id != SPA_PARAM_Format || !param || spa_format_video_raw_parse(param, &info) < 0)
        return;
    uint8_t memory[2048];
    struct spa_pod_builder b = SPA_POD_BUILDER_INIT(memory, sizeof memory);
    const struct spa_pod_prop *open = spa_pod_find_prop(param, NULL, SPA_FORMAT_VIDEO_modifier);
    if (open && open->flags & SPA_POD_PROP_FLAG_DONT_FIXATE) {
        say("open modifier");
        const struct spa_pod *both[] = {format_pod(&b, 1), format_pod(&b, n_modifiers)};
        if (told.fixates)
            pw_stream_update_params(stream, both, 2);
        return;
    }
    int stride = info.size.width * bytes_per_pixel();
    const struct spa_pod *params[6];
    params[0] = spa_pod_builder_add_object(&b, SPA_TYPE_OBJECT_ParamBuffers, SPA_PARAM_Buffers,
        SPA_PARAM_BUFFERS_buffers, SPA_POD_CHOICE_RANGE_Int(8, 2, 16),
        SPA_PARAM_BUFFERS_blocks, SPA_POD_Int(1),
        SPA_PARAM_BUFFERS_size, SPA_POD_Int(stride * (int)info.size.height),
        SPA_PARAM_BUFFERS_stride, SPA_POD_Int(stride),
        SPA_PARAM_BUFFERS_dataType, SPA_POD_CHOICE_FLAGS_Int(
            kind == MEMFD ? 1 << SPA_DATA_MemFd :
            kind == OF_DAEMON ? 1 << SPA_DATA_MemPtr : 1 << SPA_DATA_DmaBuf));
    static const uint32_t types[] = {SPA_META_Header, SPA_META_VideoCrop, SPA_META_VideoDamage,
                                     SPA_META_VideoTransform, SPA_META_Cursor};
    static const int sizes[] = {sizeof(struct spa_meta_header), sizeof(struct spa_meta_region),
                                4 * sizeof(struct spa_meta_region),
                                sizeof(struct spa_meta_videotransform), 48 + 64 * 64 * 4};
    for (int i = 0; i < 5; i++)
        params[1 + i] = spa_pod_builder_add_object(&b, SPA_TYPE_OBJECT_ParamMeta, SPA_PARAM_Meta,
            SPA_PARAM_META_type, SPA_POD_Id(types[i]), SPA_PARAM_META_size, SPA_POD_Int(sizes[i]));
    pw_stream_update_params(stream, params, 6);
    printf("format %ux%u %d modifier %#llx\n", info.size.width, info.size.height, info.format,
           open ? (unsigned long long)info.modifier : ~0ULL);
    fflush(stdout);
}

static void on_add_buffer(void *user, struct pw_buffer *buffer)
{
    (void)user;
    struct spa_data *data = buffer->buffer->datas;
    if (kind == OF_DAEMON)
        return;
    long long whole = (2LL * info.size.width * info.size.height * 4 + 65536) & ~4095LL;
    long long length = told.file ? told.file : whole;
    data->type = kind == MEMFD ? SPA_DATA_MemFd : SPA_DATA_DmaBuf;
    data->flags = SPA_DATA_FLAG_READWRITE;
    data->fd = memfd_create("producer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (data->fd < 0 || ftruncate(data->fd, length) < 0)
        abort();
    data->mapoffset = told.map_offset;
    data->maxsize = told.max_size ? told.max_size : length - told.map_offset;
    /* Its own mapping never ends before what it fills: a longer one of zeros lies under it. */
    char *memory = mmap(NULL, whole * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap(memory, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, data->fd, 0);
    data->data = memory + told.map_offset;
    buffer->user_data = memory;
    if (kind == UDMABUF) {
        /* Its pages are those of the memfd, which is not closed before the end. */
        int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
        struct udmabuf_create wish = {.memfd = data->fd, .flags = UDMABUF_FLAGS_CLOEXEC,
                                      .size = length};
        fcntl(data->fd, F_ADD_SEALS, F_SEAL_SHRINK);
        data->fd = ioctl(device, UDMABUF_CREATE, &wish);
        if (data->fd < 0) {
            perror("udmabuf");
            abort();
        }
        close(device);
    }
}

static void on_remove_buffer(void *user, struct pw_buffer *buffer)
{
    (void)user;
    if (kind == OF_DAEMON)
        return;
    munmap(buffer->user_data, (2LL * info.size.width * info.size.height * 4 + 65536) * 4);
    close(buffer->buffer->datas->fd);
}

static void set_region(struct spa_buffer *buffer, uint32_t type, const long long *box)
{
    struct spa_meta_region *region = spa_buffer_find_meta_data(buffer, type, sizeof *region);
    if (region)
        region->region = SPA_REGION(box[0], box[1], box[2], box[3]);
}

static void set_metas(struct spa_buffer *buffer)
{
    struct spa_meta_header *header =
        spa_buffer_find_meta_data(buffer, SPA_META_Header, sizeof *header);
    if (header)
        *header = (struct spa_meta_header){.flags = told.header_flags, .pts = told.pts};
    set_region(buffer, SPA_META_VideoCrop, told.crop);
    struct spa_meta *damage = spa_buffer_find_meta(buffer, SPA_META_VideoDamage);
    if (damage)
        memset(damage->data, 0, damage->size);
    set_region(buffer, SPA_META_VideoDamage, told.damage);
    struct spa_meta_videotransform *turn =
        spa_buffer_find_meta_data(buffer, SPA_META_VideoTransform, sizeof *turn);
    if (turn)
        turn->transform = told.transform;
    struct spa_meta_cursor *cursor =
        spa_buffer_find_meta_data(buffer, SPA_META_Cursor, sizeof *cursor);
    if (!cursor)
        return;
    const long long *c = told.cursor;
    *cursor = (struct spa_meta_cursor){.id = c[0], .position = {c[1], c[2]}, .hotspot = {c[3], c[4]}};
    if (!c[5])
        return;
    cursor->bitmap_offset = sizeof *cursor;
    struct spa_meta_bitmap *bitmap = SPA_PTROFF(cursor, sizeof *cursor, struct spa_meta_bitmap);
    *bitmap = (struct spa_meta_bitmap){.format = SPA_VIDEO_FORMAT_RGBA, .size = {c[5], c[5]},
                                       .stride = c[5] * 4, .offset = sizeof *bitmap};
    uint8_t *pixels = SPA_PTROFF(bitmap, sizeof *bitmap, uint8_t);
    for (int i = 0; i < c[5] * c[5]; i++) /* half of red */
        memcpy(pixels + 4 * i, (uint8_t[]){128, 0, 0, 128}, 4);
}

static void on_process(void *user)
{
    (void)user;
    struct pw_buffer *buffer = pw_stream_dequeue_buffer(stream);
    if (!buffer) {
        say("no buffer");
        return;
    }
    struct spa_data *data = buffer->buffer->datas;
    int row = info.size.width * bytes_per_pixel();
    long long stride = told.fill_stride ? told.fill_stride : row;
    if (data->data) {
        if (kind != OF_DAEMON)
            memset(data->data, PADDING, stride * info.size.height);
        for (uint32_t y = 0; y < info.size.height; y++)
            for (int i = 0; i < row; i++)
                ((uint8_t *)data->data)[y * stride + i] = y * 31 + i * 7 + told.seed;
    }
    data->chunk->offset = told.offset;
    data->chunk->size = told.size == -1 ? 0 : told.size ? told.size : stride * info.size.height;
    data->chunk->stride = told.stride == -1 ? 0 : told.stride ? told.stride : stride;
    data->chunk->flags = told.chunk_flags;
    set_metas(buffer->buffer);
    if (told.truncate && ftruncate(data->fd, told.truncate) < 0)
        abort();
    pw_stream_queue_buffer(stream, buffer);
    say("sent");
}

static const struct pw_stream_events events = {
    PW_VERSION_STREAM_EVENTS, .state_changed = on_state_changed,
    .param_changed = on_param_changed, .add_buffer = on_add_buffer,
    .remove_buffer = on_remove_buffer, .process = on_process,
};

static void do_line(char *line)
{
    char *verb = strtok(line, " \n"), *word;
    if (!verb)
        return;
    if (!strcmp(verb, "format")) {
        uint8_t memory[1024];
        struct spa_pod_builder b = SPA_POD_BUILDER_INIT(memory, sizeof memory);
        format = atoi(strtok(NULL, " \n"));
        size.width = atoi(strtok(NULL, " \n"));
        size.height = atoi(strtok(NULL, " \n"));
        for (n_modifiers = 0; n_modifiers < MOST_MODIFIERS && (word = strtok(NULL, " \n"));)
            modifiers[n_modifiers++] = strtoull(word, NULL, 0);
        const struct spa_pod *params[] = {format_pod(&b, n_modifiers)};
        if (is_connected)
            pw_stream_update_params(stream, params, 1);
        else
            pw_stream_connect(stream, PW_DIRECTION_OUTPUT, PW_ID_ANY,
                PW_STREAM_FLAG_DRIVER | (kind == OF_DAEMON ? PW_STREAM_FLAG_MAP_BUFFERS :
                                         PW_STREAM_FLAG_ALLOC_BUFFERS), params, 1);
        is_connected = 1;
        return;
    }
    while ((word = strtok(NULL, " \n"))) {
        char *value = strchr(word, '=');
        *value++ = 0;
        *find(word) = strtoll(value, NULL, 0);
    }
    if (!strcmp(verb, "send")) {
        if (is_streaming)
            pw_stream_trigger_process(stream);
        else
            say("not streaming");
    }
}

static void on_input(void *data, int fd, uint32_t mask)
{
    static char pending[4096];
    static size_t length;
    (void)data, (void)mask;
    ssize_t count = read(fd, pending + length, sizeof pending - 1 - length);
    if (count <= 0) {
        pw_main_loop_quit(loop);
        return;
    }
    length += count;
    pending[length] = 0;
    char *start = pending, *end;
    while ((end = strchr(start, '\n'))) {
        *end = 0;
        do_line(start);
        start = end + 1;
    }
    length = strlen(start);
    memmove(pending, start, length);
}

int main(int argc, char *argv[])
{
    static const char *kinds[] = {"memfd", "daemon-allocates", "so-called-dmabuf", "udmabuf"};
    for (unsigned i = 0; argc > 1 && i < SPA_N_ELEMENTS(kinds); i++)
        if (!strcmp(argv[1], kinds[i]))
            kind = i;
    pw_init(&argc, &argv);
    loop = pw_main_loop_new(NULL);
    struct pw_context *context = pw_context_new(pw_main_loop_get_loop(loop), NULL, 0);
    struct pw_core *core = pw_context_connect(context, NULL, 0);
    if (!core)
        return 1;
    stream = pw_stream_new(core, "producer", pw_properties_new(
        PW_KEY_MEDIA_CLASS, "Video/Source", PW_KEY_NODE_NAME, "producer", NULL));
    pw_stream_add_listener(stream, &hook, &events, NULL);
    pw_loop_add_io(pw_main_loop_get_loop(loop), 0, SPA_IO_IN, false, on_input, NULL);
    pw_main_loop_run(loop);
    pw_stream_destroy(stream);
    pw_core_disconnect(core);
    pw_context_destroy(context);
    pw_main_loop_destroy(loop);
    return 0;
}
