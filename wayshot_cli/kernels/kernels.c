/* The hot loops: bringing captured pixels upright into packed rows, filtering
 * rows for PNG, encoding QOI.
 *
 * Nothing here checks bounds: a Frame has proved that every pixel lies inside
 * its memory, and __init__.py sizes the outputs. Nothing here allocates.
 *
 * Plain C that the compiler vectorises. Where the loader can choose (glibc on
 * x86-64) the outer functions are compiled several times and the best clone for
 * this machine is taken; WS_PLAIN turns that off, for the sanitisers and the
 * tests. Everything inside an outer function must be inlined into it, or it
 * would be compiled for the oldest machine only.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#if defined WS_PLAIN || !defined __x86_64__ || !defined __GLIBC__
#define CLONES
#elif defined __clang__ || __GNUC__ < 12
#define CLONES __attribute__((target_clones("avx2", "ssse3", "default")))
#else
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "ssse3", "default")))
#endif

/* The numbers of pixels.Kind and frame.Alpha. */
enum { BYTES, PACKED_565, PACKED_1010102, WORDS, HALFS };
enum { IGNORED, STRAIGHT, PREMULTIPLIED };

/* An upright picture in somebody's memory: pixel (x, y) starts at
 * origin + x * step_x + y * step_y; either step may be negative, and either may
 * be the smaller. Channel positions are in the unit that kind names. */
struct ws_image {
    const uint8_t *origin;
    ptrdiff_t step_x, step_y;
    uint32_t width, height;
    int kind, bytes; /* bytes per pixel */
    int red, green, blue, alpha;
    int alpha_mode;
};

/* Packed red, green, blue and, with four channels, straight alpha. Three
 * channels of a translucent picture are the picture over black. */
struct ws_target {
    int depth;      /* 8 or 16 bits a channel */
    int channels;   /* 3 or 4 */
    int big_endian; /* of 16-bit channels: PNG's and PPM's order, else the machine's */
};

/* ------------------------------------------------- words in memory's order */

INLINE uint32_t load_16(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8;
}

INLINE uint32_t load_32(const uint8_t *from)
{
    return load_16(from) | load_16(from + 2) << 16;
}

/* -------------------------------------------------------------- gathering
 *
 * Where the upright row does not run along memory, tiles of the source are
 * brought into upright order first. A tile is 32 pixels high because in a turned
 * picture that is what runs along memory: whole cache lines, each read once. */

enum { TILE_WIDTH = 64, TILE_HEIGHT = 32, PIXEL_MAX = 8 };
enum { AHEAD = 16 }; /* columns */

/* Each column is on a page of its own, where no processor fetches ahead by itself. The
 * address may be past the picture: prefetching does not fault. */
INLINE void prefetch_column(uintptr_t top, uintptr_t step_y)
{
    __builtin_prefetch((const void *)top);
    __builtin_prefetch((const void *)(top + TILE_HEIGHT / 2 * step_y));
    __builtin_prefetch((const void *)(top + (TILE_HEIGHT - 1) * step_y));
}

INLINE void gather_sized(const struct ws_image *image, const uint8_t *from, uint32_t columns,
                         uint32_t rows, size_t size, uint8_t *out, size_t stride)
{
    const ptrdiff_t step_x = image->step_x, step_y = image->step_y;
    if (step_x == -(ptrdiff_t)size) { /* mirrored: as a constant it can be vectorised */
        for (uint32_t y = 0; y < rows; y++)
            for (uint32_t x = 0; x < columns; x++)
                memcpy(out + y * stride + x * size,
                       from + (ptrdiff_t)y * step_y - (ptrdiff_t)(x * size), size);
        return;
    }
    for (uint32_t x = 0; x < columns; x++) {
        prefetch_column((uintptr_t)from + (uintptr_t)((ptrdiff_t)(x + AHEAD) * step_x),
                        (uintptr_t)step_y);
        for (uint32_t y = 0; y < rows; y++)
            memcpy(out + y * stride + x * size,
                   from + (ptrdiff_t)x * step_x + (ptrdiff_t)y * step_y, size);
    }
}

/* The pixels of a tile, unchanged, in upright order; out's rows are stride bytes apart. */
INLINE void gather(const struct ws_image *image, uint32_t x, uint32_t y, uint32_t columns,
                   uint32_t rows, uint8_t *out, size_t stride)
{
    const uint8_t *from =
        image->origin + (ptrdiff_t)x * image->step_x + (ptrdiff_t)y * image->step_y;
    switch (image->bytes) {
    case 2: gather_sized(image, from, columns, rows, 2, out, stride); break;
    case 3: gather_sized(image, from, columns, rows, 3, out, stride); break;
    case 4: gather_sized(image, from, columns, rows, 4, out, stride); break;
    default: gather_sized(image, from, columns, rows, 8, out, stride); break;
    }
}

/* ------------------------------------------- converting: 8 bits to 8 bits */

typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* How four pixels are made of four: where each byte comes from, and what is set in it. */
struct shuffle {
    bytes16 order, set;
};

INLINE struct shuffle plan_shuffle(const struct ws_image *image, int channels)
{
    const int opaque = image->alpha_mode == IGNORED;
    const int at[4] = {image->red, image->green, image->blue, opaque ? 0 : image->alpha};
    struct shuffle plan = {{0}, {0}};
    for (int i = 0; i < 4 * channels; i++) {
        plan.order[i] = (uint8_t)(i / channels * image->bytes + at[i % channels]);
        plan.set[i] = opaque && i % channels == 3 ? 255 : 0;
    }
    return plan;
}

INLINE bytes16 shuffled(bytes16 from, const struct shuffle *plan)
{
#ifdef __clang__ /* which has shuffles by constants only */
    bytes16 out;
    for (int i = 0; i < 16; i++)
        out[i] = from[plan->order[i]];
    return out | plan->set;
#else
    return __builtin_shuffle(from, plan->order) | plan->set;
#endif
}

/* Loads and stores are 16 bytes wide whatever they use. The last pixels go by way of
 * a copy, so that nothing is touched that lies behind. */
INLINE void shuffle_run(const struct shuffle *plan, const uint8_t *from, uint32_t count,
                        uint32_t size, uint32_t channels, uint8_t *out)
{
    bytes16 pixels = {0};
    uint32_t i = 0;
    for (; i + 6 <= count; i += 4) { /* 6 pixels of 3 bytes are the 16 that are touched */
        memcpy(&pixels, from + (size_t)i * size, sizeof pixels);
        pixels = shuffled(pixels, plan);
        memcpy(out + (size_t)i * channels, &pixels, sizeof pixels);
    }
    for (uint32_t part; i < count; i += part) {
        part = count - i < 4 ? count - i : 4;
        memcpy(&pixels, from + (size_t)i * size, part * size);
        pixels = shuffled(pixels, plan);
        memcpy(out + (size_t)i * channels, &pixels, part * channels);
    }
}

INLINE int all_opaque(const struct ws_image *image, const uint8_t *from, uint32_t count)
{
    uint8_t alpha = 255;
    for (uint32_t i = 0; i < count; i++)
        alpha &= from[(size_t)i * 4 + (uint32_t)image->alpha];
    return alpha == 255;
}

/* -------------------------------------------- converting: everything else
 *
 * Through doubles: with 16-bit channels and alpha the numerator of a straight colour
 * has 48 bits, which a double holds exactly, and its one division is rounded
 * correctly, so floor(quotient + 0.5) is the rounded value in every case. */

enum { RUN = 64 };

struct samples {
    double channel[4][RUN]; /* red, green, blue, alpha */
    double max[4];          /* what full intensity is, for each */
};

INLINE void load_bytes(const uint8_t *from, uint32_t count, uint32_t size, const int *at,
                       struct samples *out)
{
    for (int c = 0; c < 4; c++) {
        out->max[c] = 255;
        for (uint32_t i = 0; at[c] >= 0 && i < count; i++)
            out->channel[c][i] = from[(size_t)i * size + (uint32_t)at[c]];
    }
}

INLINE void load_565(const uint8_t *from, uint32_t count, const int *at, struct samples *out)
{
    for (int c = 0; c < 3; c++) {
        const uint32_t mask = at[c] == 5 ? 63 : 31;
        out->max[c] = mask;
        for (uint32_t i = 0; i < count; i++)
            out->channel[c][i] = load_16(from + (size_t)i * 2) >> at[c] & mask;
    }
}

INLINE void load_1010102(const uint8_t *from, uint32_t count, const int *at, struct samples *out)
{
    for (int c = 0; c < 4; c++) {
        const uint32_t mask = c == 3 ? 3 : 1023;
        out->max[c] = mask;
        for (uint32_t i = 0; at[c] >= 0 && i < count; i++)
            out->channel[c][i] = load_32(from + (size_t)i * 4) >> at[c] & mask;
    }
}

INLINE void load_words(const uint8_t *from, uint32_t count, const int *at, struct samples *out)
{
    for (int c = 0; c < 4; c++) {
        out->max[c] = 65535;
        for (uint32_t i = 0; at[c] >= 0 && i < count; i++)
            out->channel[c][i] = load_16(from + (size_t)i * 8 + (size_t)at[c] * 2);
    }
}

/* A half float as 0 to 1: negative numbers and NaN are 0, everything above 1 is 1.
 * Its exponent and mantissa, moved into a float's places, are the number
 * divided by 2^112, subnormals included. */
INLINE double half_to_unit(uint32_t half)
{
    const uint32_t bits = (half & 0x7fff) << 13;
    float value;
    if (half > 0x7c00) /* NaN, or the sign bit is set */
        return 0;
    memcpy(&value, &bits, sizeof value);
    value *= 0x1p112f;
    return value < 1 ? value : 1;
}

INLINE void load_halfs(const uint8_t *from, uint32_t count, const int *at, struct samples *out)
{
    for (int c = 0; c < 4; c++) {
        out->max[c] = 1;
        for (uint32_t i = 0; at[c] >= 0 && i < count; i++)
            out->channel[c][i] = half_to_unit(load_16(from + (size_t)i * 8 + (size_t)at[c] * 2));
    }
}

INLINE void load_samples(const struct ws_image *image, const uint8_t *from, uint32_t count,
                         struct samples *out)
{
    const int at[4] = {image->red, image->green, image->blue, image->alpha};
    switch (image->kind) {
    case BYTES: load_bytes(from, count, (uint32_t)image->bytes, at, out); break;
    case PACKED_565: load_565(from, count, at, out); break;
    case PACKED_1010102: load_1010102(from, count, at, out); break;
    case WORDS: load_words(from, count, at, out); break;
    default: load_halfs(from, count, at, out); break;
    }
}

/* The colours and alpha at 0 to top, rounded. Ties do not occur in what is only
 * multiplied: every ratio of two maxima has an odd denominator. */
INLINE void scale_samples(const struct ws_image *image, const struct samples *in, uint32_t count,
                          int channels, double top, uint16_t out[4][RUN])
{
    const double *alpha = in->channel[3];
    const int divide = image->alpha_mode == PREMULTIPLIED && channels == 4;
    const int multiply = image->alpha_mode == STRAIGHT && channels == 3;
    for (int c = 0; c < 3; c++) {
        const double scale = top / in->max[c];
        const double *colour = in->channel[c];
        if (divide)
            for (uint32_t i = 0; i < count; i++) {
                const double value = colour[i] * (in->max[3] * top) /
                                     (alpha[i] * in->max[c] + (alpha[i] == 0)) * (alpha[i] != 0);
                out[c][i] = (uint16_t)(int32_t)((value < top ? value : top) + 0.5);
            }
        else if (multiply)
            for (uint32_t i = 0; i < count; i++)
                out[c][i] = (uint16_t)(int32_t)(colour[i] * alpha[i] * top /
                                                    (in->max[c] * in->max[3]) +
                                                0.5);
        else
            for (uint32_t i = 0; i < count; i++)
                out[c][i] = (uint16_t)(int32_t)(colour[i] * scale + 0.5);
    }
    for (uint32_t i = 0; channels == 4 && i < count; i++)
        out[3][i] = image->alpha_mode == IGNORED
                        ? (uint16_t)top
                        : (uint16_t)(int32_t)(alpha[i] * (top / in->max[3]) + 0.5);
}

INLINE void store_8(uint16_t in[4][RUN], uint32_t count, uint32_t channels, uint8_t *out)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t c = 0; c < channels; c++)
            out[i * channels + c] = (uint8_t)in[c][i];
}

INLINE void store_16(uint16_t in[4][RUN], uint32_t count, uint32_t channels, int big_endian,
                     uint8_t *out)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t c = 0; c < channels; c++) {
            const uint16_t value = in[c][i];
            const uint8_t swapped[2] = {(uint8_t)(value >> 8), (uint8_t)value};
            memcpy(out + (i * channels + c) * 2, big_endian ? (const void *)swapped : &value, 2);
        }
}

/* At most RUN pixels. */
INLINE void convert_samples(const struct ws_image *image, const uint8_t *from, uint32_t count,
                            const struct ws_target *target, uint8_t *out)
{
    struct samples samples;
    uint16_t scaled[4][RUN];
    load_samples(image, from, count, &samples);
    scale_samples(image, &samples, count, target->channels, target->depth == 8 ? 255 : 65535,
                  scaled);
    if (target->depth == 8 && target->channels == 3)
        store_8(scaled, count, 3, out);
    else if (target->depth == 8)
        store_8(scaled, count, 4, out);
    else if (target->channels == 3)
        store_16(scaled, count, 3, target->big_endian, out);
    else
        store_16(scaled, count, 4, target->big_endian, out);
}

/* Upright pixels that lie side by side, in the image's format, to the target. */
INLINE void convert(const struct ws_image *image, const struct shuffle *plan,
                    const uint8_t *from, uint32_t count, const struct ws_target *target,
                    uint8_t *out)
{
    const uint32_t size = (uint32_t)image->bytes, channels = (uint32_t)target->channels;
    const size_t out_size = (size_t)(target->channels * target->depth / 8);
    const int narrow = image->kind == BYTES && target->depth == 8;
    const int blends = image->alpha_mode == (channels == 4 ? PREMULTIPLIED : STRAIGHT);
    const uint32_t most = narrow && !blends ? count : RUN;
    for (uint32_t done = 0, run; done < count; done += run) {
        run = count - done < most ? count - done : most;
        const uint8_t *pixels = from + done * size;
        if (narrow && (!blends || all_opaque(image, pixels, run)))
            shuffle_run(plan, pixels, run, size, channels, out + done * out_size);
        else
            convert_samples(image, pixels, run, target, out + done * out_size);
    }
}

/* ---------------------------------------------------------------- packing */

/* Pack the upright rows [y, y + rows) of the image; out's rows are stride bytes apart. */
CLONES static void ws_pack(const struct ws_image *image, uint32_t y, uint32_t rows,
                           const struct ws_target *target, uint8_t *out, size_t stride)
{
    uint8_t tile[TILE_HEIGHT * TILE_WIDTH * PIXEL_MAX];
    const size_t tile_stride = (size_t)(TILE_WIDTH * image->bytes);
    const size_t out_size = (size_t)(target->channels * target->depth / 8);
    const struct shuffle plan = plan_shuffle(image, target->channels);
    if (image->step_x == image->bytes) {
        for (uint32_t row = 0; row < rows; row++)
            convert(image, &plan, image->origin + (ptrdiff_t)(y + row) * image->step_y,
                    image->width, target, out + row * stride);
        return;
    }
    for (uint32_t top = 0, high; top < rows; top += high) {
        high = rows - top < TILE_HEIGHT ? rows - top : TILE_HEIGHT;
        for (uint32_t x = 0, wide; x < image->width; x += wide) {
            wide = image->width - x < TILE_WIDTH ? image->width - x : TILE_WIDTH;
            gather(image, x, y + top, wide, high, tile, tile_stride);
            for (uint32_t row = 0; row < high; row++)
                convert(image, &plan, tile + row * tile_stride, wide, target,
                        out + (top + row) * stride + x * out_size);
        }
    }
}

/* Copy the upright rows [y, y + rows) in the image's own format, tight. */
CLONES static void ws_copy(const struct ws_image *image, uint32_t y, uint32_t rows, uint8_t *out)
{
    const size_t size = (size_t)image->bytes, stride = image->width * size;
    if (image->step_x == image->bytes) {
        for (uint32_t row = 0; row < rows; row++)
            memcpy(out + row * stride, image->origin + (ptrdiff_t)(y + row) * image->step_y,
                   stride);
        return;
    }
    for (uint32_t top = 0, high; top < rows; top += high) {
        high = rows - top < TILE_HEIGHT ? rows - top : TILE_HEIGHT;
        for (uint32_t x = 0, wide; x < image->width; x += wide) {
            wide = image->width - x < TILE_WIDTH ? image->width - x : TILE_WIDTH;
            gather(image, x, y + top, wide, high, out + top * stride + x * size, stride);
        }
    }
}

INLINE int opaque_sample(const struct ws_image *image, const uint8_t *pixel)
{
    switch (image->kind) {
    case BYTES: return pixel[image->alpha] == 255;
    case PACKED_1010102: return (load_32(pixel) >> image->alpha & 3) == 3;
    case WORDS: return load_16(pixel + image->alpha * 2) == 65535;
    case HALFS: return half_to_unit(load_16(pixel + image->alpha * 2)) == 1;
    default: return 1;
    }
}

/* Whether every pixel is opaque. Goes along memory, whichever way is up. */
CLONES static int ws_is_opaque(const struct ws_image *image)
{
    const int turned = image->step_y == image->bytes || image->step_y == -image->bytes;
    const ptrdiff_t along = turned ? image->step_y : image->step_x;
    const ptrdiff_t across = turned ? image->step_x : image->step_y;
    const uint32_t length = turned ? image->height : image->width;
    const uint32_t lines = turned ? image->width : image->height;
    if (image->alpha_mode == IGNORED)
        return 1;
    for (uint32_t line = 0; line < lines; line++) {
        const uint8_t *pixel = image->origin + (ptrdiff_t)line * across;
        int opaque = 1;
        for (uint32_t i = 0; i < length; i++, pixel += along)
            opaque &= opaque_sample(image, pixel);
        if (!opaque)
            return 0;
    }
    return 1;
}

/* ----------------------------------------------------------- PNG's filters
 *
 * PNG (third edition), 9: each row is replaced by its difference from a
 * prediction, and begins with a byte that says which. 12.7 recommends the
 * filter whose bytes, taken as signed, have the least sum of absolute values.
 * Bytes left of the row and above the picture count as 0, so packed rows have
 * MARGIN zeros before them. */

enum { NONE, SUB, UP, AVERAGE, PAETH, FILTERS };
enum { MARGIN = 64, BLOCK = 1024, STRIP = 32 };
#define WS_FILTER_WORK_ROWS (STRIP + 2)

/* One or the other without a branch, which would keep the loops from being vectorised well. */
INLINE uint8_t choose(int condition, uint8_t one, uint8_t other)
{
    const uint8_t mask = (uint8_t)-(condition != 0);
    return (uint8_t)((one & mask) | (other & (uint8_t)~mask));
}

INLINE uint8_t difference(uint8_t a, uint8_t b)
{
    return (uint8_t)((a > b ? a : b) - (a < b ? a : b));
}

/* The Paeth predictor with 8-bit arithmetic only. Of a + b - c's distances to a, b and c the
 * last is the sum of the others' when c lies outside a and b, so then never the
 * smallest, and their difference when it lies between. */
INLINE uint8_t paeth(uint8_t a, uint8_t b, uint8_t c)
{
    const uint8_t to_a = difference(b, c), to_b = difference(a, c);
    const uint8_t to_c = difference(to_a, to_b);
    const uint8_t nearer = choose(to_a <= to_b, a, b);
    const uint8_t least = to_a < to_b ? to_a : to_b;
    return choose(((b > c) ^ (a > c)) & (to_c < least), c, nearer);
}

/* Half of a 9-bit sum, without the ninth bit. */
INLINE uint8_t average(uint8_t a, uint8_t b)
{
    return (uint8_t)((a & b) + ((a ^ b) >> 1));
}

/* Filter count bytes of a row; left is the number of bytes in a pixel. */
INLINE void filter_bytes(int filter, const uint8_t *row, const uint8_t *above, size_t left,
                         size_t count, uint8_t *restrict out)
{
    const uint8_t *a = row - left, *b = above, *c = above - left;
    switch (filter) {
    case NONE:
        for (size_t i = 0; i < count; i++)
            out[i] = row[i];
        break;
    case SUB:
        for (size_t i = 0; i < count; i++)
            out[i] = (uint8_t)(row[i] - a[i]);
        break;
    case UP:
        for (size_t i = 0; i < count; i++)
            out[i] = (uint8_t)(row[i] - b[i]);
        break;
    case AVERAGE:
        for (size_t i = 0; i < count; i++)
            out[i] = (uint8_t)(row[i] - average(a[i], b[i]));
        break;
    default:
        for (size_t i = 0; i < count; i++)
            out[i] = (uint8_t)(row[i] - paeth(a[i], b[i], c[i]));
        break;
    }
}

/* How far a byte, taken as signed, is from zero; centre is 128. Written like this, and with
 * centre from memory, compilers know the sum of absolute differences for which
 * processors have an instruction. */
INLINE uint32_t distance(uint8_t byte, uint8_t centre)
{
    return (uint32_t)abs((uint8_t)(byte ^ 128) - centre);
}

/* Add what each filter would cost for at most BLOCK bytes of a row. */
INLINE void add_costs(const uint8_t *row, const uint8_t *above, size_t left, size_t count,
                      const uint8_t *centre, uint64_t sums[FILTERS])
{
    const uint8_t *before = row - left, *above_before = above - left;
    uint32_t none = 0, sub = 0, up = 0, mean = 0, nearest = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t x = row[i], a = before[i], b = above[i], c = above_before[i];
        none += distance(x, centre[i]);
        sub += distance((uint8_t)(x - a), centre[i]);
        up += distance((uint8_t)(x - b), centre[i]);
        mean += distance((uint8_t)(x - average(a, b)), centre[i]);
        nearest += distance((uint8_t)(x - paeth(a, b, c)), centre[i]);
    }
    sums[NONE] += none;
    sums[SUB] += sub;
    sums[UP] += up;
    sums[AVERAGE] += mean;
    sums[PAETH] += nearest;
}

INLINE int best_filter(const uint8_t *row, const uint8_t *above, size_t left, size_t count)
{
    uint64_t sums[FILTERS] = {0};
    uint8_t centre[BLOCK];
    memset(centre, 128, sizeof centre);
    for (size_t done = 0, part; done < count; done += part) {
        part = count - done < BLOCK ? count - done : BLOCK;
        add_costs(row + done, above + done, left, part, centre, sums);
    }
    int best = NONE;
    for (int filter = SUB; filter < FILTERS; filter++)
        if (sums[filter] < sums[best])
            best = filter;
    return best;
}

/* Returns how many of the filtered bytes are 0. */
INLINE uint32_t filter_row(const uint8_t *row, const uint8_t *above, size_t left, size_t count,
                           uint8_t *out)
{
    const int same = memcmp(row, above, count) == 0;
    const int filter = same ? UP : best_filter(row, above, left, count);
    uint32_t zeros = 0;
    *out++ = (uint8_t)filter;
    filter_bytes(filter, row, above, left, count, out);
    if (same)
        return (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        zeros += out[i] == 0;
    return zeros;
}

/* Bytes from one packed row to the next in ws_filter's work space of WS_FILTER_WORK_ROWS. */
static size_t ws_filter_stride(uint32_t width, const struct ws_target *target)
{
    const size_t row = (size_t)width * (size_t)(target->channels * target->depth / 8);
    return (MARGIN + row + MARGIN - 1) / MARGIN * MARGIN;
}

/* Pack and filter the upright rows [y, y + rows): for each the filter's number and its bytes.
 * All but the first, whose place is left to ws_filter_first: the row above it is somebody else's to
 * read. Every pixel is read once, for the memory may change under our eyes, and what is
 * filtered by one reading and packed by another would not come back. Returns how many of the bytes
 * are 0. work must be zero at the first call; behind its margins, the first of its rows is the first
 * one packed, the second the last.
 *
 * Goes in strips, so that packed rows are still in the cache when they are filtered. */
CLONES static size_t ws_filter(const struct ws_image *image, uint32_t y, uint32_t rows,
                               const struct ws_target *target, uint8_t *work, uint8_t *out)
{
    const size_t left = (size_t)(target->channels * target->depth / 8);
    const size_t length = image->width * left;
    const size_t stride = ws_filter_stride(image->width, target);
    uint8_t *const first = work + MARGIN, *const last = first + stride;
    uint8_t *const strip = last + stride;
    size_t zeros = 0;
    for (uint32_t done = 0, high; done < rows; done += high) {
        high = rows - done < STRIP ? rows - done : STRIP;
        ws_pack(image, y + done, high, target, strip, stride);
        if (!done)
            memcpy(first, strip, length);
        const uint8_t *row = strip;
        for (uint32_t i = 0; i < high; i++, row += stride, out += 1 + length)
            if (done + i)
                zeros += filter_row(row, row - stride, left, length, out);
        memcpy(last, row - stride, length);
    }
    return zeros;
}

/* Filter the first row of the ws_filter before; above is the packed row above it, with its margin. */
CLONES static size_t ws_filter_first(uint32_t width, const struct ws_target *target,
                                     const uint8_t *work, const uint8_t *above, uint8_t *out)
{
    const size_t left = (size_t)(target->channels * target->depth / 8);
    return filter_row(work + MARGIN, above + MARGIN, left, width * left, out);
}

/* --------------------------------------------------------------------- QOI
 *
 * The Quite OK Image Format, specification 1.0 (qoiformat.org). */

struct ws_qoi {
    uint8_t seen[64][4];
    uint8_t last[4];
    uint32_t run;
};

static void ws_qoi_start(struct ws_qoi *state)
{
    memset(state, 0, sizeof *state);
    state->last[3] = 255;
}

INLINE uint8_t *qoi_end_run(struct ws_qoi *state, uint8_t *out)
{
    if (state->run)
        *out++ = (uint8_t)(0xc0 | (state->run - 1));
    state->run = 0;
    return out;
}

/* A pixel with the alpha of the one before, that is not among those seen. */
INLINE uint8_t *qoi_colour(const uint8_t *last, const uint8_t *pixel, uint8_t *out)
{
    const int red = (int8_t)(pixel[0] - last[0]);
    const int green = (int8_t)(pixel[1] - last[1]);
    const int blue = (int8_t)(pixel[2] - last[2]);
    const int red_green = (int8_t)(red - green), blue_green = (int8_t)(blue - green);
    if (red >= -2 && red < 2 && green >= -2 && green < 2 && blue >= -2 && blue < 2) {
        *out++ = (uint8_t)(0x40 | (red + 2) << 4 | (green + 2) << 2 | (blue + 2));
    } else if (green >= -32 && green < 32 && red_green >= -8 && red_green < 8 &&
               blue_green >= -8 && blue_green < 8) {
        *out++ = (uint8_t)(0x80 | (green + 32));
        *out++ = (uint8_t)((red_green + 8) << 4 | (blue_green + 8));
    } else {
        *out++ = 0xfe;
        memcpy(out, pixel, 3);
        out += 3;
    }
    return out;
}

INLINE uint8_t *qoi_pixel(struct ws_qoi *state, const uint8_t *pixel, uint8_t *out)
{
    const int hash = (pixel[0] * 3 + pixel[1] * 5 + pixel[2] * 7 + pixel[3] * 11) % 64;
    out = qoi_end_run(state, out);
    if (memcmp(state->seen[hash], pixel, 4) == 0) {
        *out++ = (uint8_t)hash;
    } else if (pixel[3] != state->last[3]) {
        *out++ = 0xff;
        memcpy(out, pixel, 4);
        out += 4;
    } else {
        out = qoi_colour(state->last, pixel, out);
    }
    memcpy(state->seen[hash], pixel, 4);
    memcpy(state->last, pixel, 4);
    return out;
}

/* Encode packed pixels of 3 or 4 bytes; goes on where the call before stopped. Writes at
 * most channels + 1 bytes a pixel, one more for a run that was open; returns how many. */
static size_t ws_qoi_encode(struct ws_qoi *state, const uint8_t *pixels, size_t count, int channels,
                     uint8_t *out)
{
    const uint8_t *start = out;
    uint8_t pixel[4] = {0, 0, 0, 255};
    for (; count; count--, pixels += channels) {
        memcpy(pixel, pixels, (size_t)channels);
        if (memcmp(pixel, state->last, 4) != 0)
            out = qoi_pixel(state, pixel, out);
        else if (++state->run == 62)
            out = qoi_end_run(state, out);
    }
    return (size_t)(out - start);
}

/* The run that is still open, if any: at most one byte. */
static size_t ws_qoi_finish(struct ws_qoi *state, uint8_t *out)
{
    return (size_t)(qoi_end_run(state, out) - out);
}
