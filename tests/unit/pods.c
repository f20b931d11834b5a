/* What libpipewire's own headers make of the offers of backends/pipewire/offers.py, and the numbers
 * and layouts that it counts on: a line each, a name and hexadecimal bytes or a number. */
#include <stddef.h>
#include <stdio.h>

#include <pipewire/pipewire.h>
#include <spa/buffer/meta.h>
#include <spa/param/buffers.h>
#include <spa/param/video/format-utils.h>
#include <spa/utils/hook.h>

static uint8_t memory[4096];
static struct spa_pod_builder b;
static struct spa_pod_frame frame;

static void print_pod(const char *name, const void *data, size_t size)
{
    printf("%s ", name);
    for (size_t i = 0; i < size; i++)
        printf("%02x", ((const uint8_t *)data)[i]);
    printf("\n");
}

static void start(uint32_t type, uint32_t id)
{
    b = SPA_POD_BUILDER_INIT(memory, sizeof memory);
    spa_pod_builder_push_object(&b, &frame, type, id);
}

static void finish(const char *name)
{
    spa_pod_builder_pop(&b, &frame);
    print_pod(name, memory, b.state.offset);
}

static void add_size_and_rates(void)
{
    struct spa_rectangle size = {800, 600}, least = {1, 1}, greatest = {65535, 65535};
    struct spa_fraction rate = {30000, 1001}, slowest = {0, 1}, fastest = {1000, 1};
    spa_pod_builder_add(&b,
        SPA_FORMAT_VIDEO_size, SPA_POD_CHOICE_RANGE_Rectangle(&size, &least, &greatest),
        SPA_FORMAT_VIDEO_framerate, SPA_POD_CHOICE_RANGE_Fraction(&rate, &slowest, &fastest),
        SPA_FORMAT_VIDEO_maxFramerate, SPA_POD_CHOICE_RANGE_Fraction(&rate, &slowest, &fastest), 0);
}

static void start_format(void)
{
    start(SPA_TYPE_OBJECT_Format, SPA_PARAM_EnumFormat);
    spa_pod_builder_add(&b, SPA_FORMAT_mediaType, SPA_POD_Id(SPA_MEDIA_TYPE_video),
                        SPA_FORMAT_mediaSubtype, SPA_POD_Id(SPA_MEDIA_SUBTYPE_raw), 0);
}

static void print_formats(void)
{
    static const uint32_t formats[] = {
        SPA_VIDEO_FORMAT_BGRx, SPA_VIDEO_FORMAT_RGBx, SPA_VIDEO_FORMAT_xRGB, SPA_VIDEO_FORMAT_xBGR,
        SPA_VIDEO_FORMAT_BGRA, SPA_VIDEO_FORMAT_RGBA, SPA_VIDEO_FORMAT_ARGB, SPA_VIDEO_FORMAT_ABGR,
        SPA_VIDEO_FORMAT_RGB, SPA_VIDEO_FORMAT_BGR, SPA_VIDEO_FORMAT_xRGB_210LE,
        SPA_VIDEO_FORMAT_xBGR_210LE, SPA_VIDEO_FORMAT_RGBx_102LE, SPA_VIDEO_FORMAT_BGRx_102LE,
        SPA_VIDEO_FORMAT_ARGB_210LE, SPA_VIDEO_FORMAT_ABGR_210LE, SPA_VIDEO_FORMAT_RGBA_102LE,
        SPA_VIDEO_FORMAT_BGRA_102LE,
    };
    struct spa_pod_frame choice;
    start_format();
    spa_pod_builder_prop(&b, SPA_FORMAT_VIDEO_format, 0);
    spa_pod_builder_push_choice(&b, &choice, SPA_CHOICE_Enum, 0);
    spa_pod_builder_id(&b, formats[0]);
    for (size_t i = 0; i < SPA_N_ELEMENTS(formats); i++)
        spa_pod_builder_id(&b, formats[i]);
    spa_pod_builder_pop(&b, &choice);
    add_size_and_rates();
    finish("plain");

    start_format();
    spa_pod_builder_add(&b, SPA_FORMAT_VIDEO_format, SPA_POD_Id(SPA_VIDEO_FORMAT_BGRx), 0);
    spa_pod_builder_prop(&b, SPA_FORMAT_VIDEO_modifier,
                         SPA_POD_PROP_FLAG_MANDATORY | SPA_POD_PROP_FLAG_DONT_FIXATE);
    spa_pod_builder_push_choice(&b, &choice, SPA_CHOICE_Enum, 0);
    spa_pod_builder_long(&b, 0x0100000000000002);
    spa_pod_builder_long(&b, 0x0100000000000002);
    spa_pod_builder_long(&b, 0);
    spa_pod_builder_long(&b, (int64_t)0xff00000000000001);
    spa_pod_builder_pop(&b, &choice);
    add_size_and_rates();
    finish("modifiers");

    start_format();
    spa_pod_builder_add(&b, SPA_FORMAT_VIDEO_format, SPA_POD_Id(SPA_VIDEO_FORMAT_BGRx), 0);
    spa_pod_builder_prop(&b, SPA_FORMAT_VIDEO_modifier, SPA_POD_PROP_FLAG_MANDATORY);
    spa_pod_builder_long(&b, 0x0100000000000002);
    add_size_and_rates();
    finish("fixed");
}

static void print_buffers(void)
{
    start(SPA_TYPE_OBJECT_ParamBuffers, SPA_PARAM_Buffers);
    spa_pod_builder_add(&b,
        SPA_PARAM_BUFFERS_buffers, SPA_POD_CHOICE_RANGE_Int(8, 2, 32),
        SPA_PARAM_BUFFERS_dataType,
        SPA_POD_CHOICE_FLAGS_Int((1 << SPA_DATA_MemPtr) | (1 << SPA_DATA_MemFd)), 0);
    finish("buffers");
}

static void print_meta(const char *name, uint32_t type, int size)
{
    start(SPA_TYPE_OBJECT_ParamMeta, SPA_PARAM_Meta);
    spa_pod_builder_add(&b, SPA_PARAM_META_type, SPA_POD_Id(type),
                        SPA_PARAM_META_size, SPA_POD_Int(size), 0);
    finish(name);
}

#define CURSOR(side) \
    (int)(sizeof(struct spa_meta_cursor) + sizeof(struct spa_meta_bitmap) + (side) * (side) * 4)

static void print_metas(void)
{
    int region = sizeof(struct spa_meta_region);
    print_meta("header", SPA_META_Header, sizeof(struct spa_meta_header));
    print_meta("crop", SPA_META_VideoCrop, region);
    start(SPA_TYPE_OBJECT_ParamMeta, SPA_PARAM_Meta);
    spa_pod_builder_add(&b, SPA_PARAM_META_type, SPA_POD_Id(SPA_META_VideoDamage),
        SPA_PARAM_META_size, SPA_POD_CHOICE_RANGE_Int(16 * region, region, 64 * region), 0);
    finish("damage");
    print_meta("transform", SPA_META_VideoTransform, sizeof(struct spa_meta_videotransform));
    start(SPA_TYPE_OBJECT_ParamMeta, SPA_PARAM_Meta);
    spa_pod_builder_add(&b, SPA_PARAM_META_type, SPA_POD_Id(SPA_META_Cursor),
        SPA_PARAM_META_size, SPA_POD_CHOICE_RANGE_Int(CURSOR(64), CURSOR(1), CURSOR(1024)), 0);
    finish("cursor");
}

#define SIZE(what) printf("sizeof-%s %zu\n", #what, sizeof(struct what))
#define OFFSET(what, field) printf("%s.%s %zu\n", #what, #field, offsetof(struct what, field))

int main(void)
{
    print_formats();
    print_buffers();
    print_metas();
    SIZE(spa_hook); SIZE(spa_chunk); SIZE(spa_data); SIZE(spa_meta); SIZE(spa_buffer);
    SIZE(pw_stream_events);
    OFFSET(spa_data, fd); OFFSET(spa_data, mapoffset); OFFSET(spa_data, data);
    OFFSET(spa_data, chunk); OFFSET(spa_meta, data); OFFSET(spa_buffer, datas);
    OFFSET(pw_buffer, buffer); OFFSET(pw_stream_events, state_changed);
    OFFSET(pw_stream_events, param_changed); OFFSET(pw_stream_events, remove_buffer);
    OFFSET(pw_stream_events, process); OFFSET(spa_meta_header, pts);
    OFFSET(spa_meta_cursor, position); OFFSET(spa_meta_cursor, bitmap_offset);
    OFFSET(spa_meta_bitmap, size); OFFSET(spa_meta_bitmap, stride);
    OFFSET(spa_meta_bitmap, offset);
    return 0;
}
