/* Upright pictures as YUV: luma, and chroma in planes of its own, interleaved, or left out.
 *
 * Included after kernels.c, whose rules hold here, too: nothing checks bounds,
 * nothing allocates, everything inside the outer function is inlined into it.
 *
 * Recommendations ITU-R BT.601 and BT.709 have one form, of colours from 0 to 1 that are not
 * linear any more, and differ in the weights:
 *
 *     Y  = Kr R + Kg G + Kb B         Kg = 1 - Kr - Kb
 *     Cb = (B - Y) / (2 (1 - Kb))     from -1/2 to 1/2
 *     Cr = (R - Y) / (2 (1 - Kr))
 *
 * All in single floats, which err by less than a thousandth of a 10-bit level: only what
 * is that near to a tie may be rounded the other way. Every machine multiplies
 * several of them at once; not so integers of 32 bits. */

struct ws_yuv {
    float red, green, blue;           /* Kr, Kg, Kb */
    float luma_low, luma_span;        /* Y is stored as low + span * Y */
    float chroma_middle, chroma_span; /* Cb and Cr as middle + span * Cb */
    float top;                        /* the greatest number that a sample has bits for */
    float before, here, after;        /* weights of columns 2i - 1, 2i, 2i + 1: 1 in all */
    int bytes, shift;                 /* of a sample, and how far left in it the number is */
    int shift_x, shift_y;             /* log2 of the chroma subsampling: 00, 10 or 11 */
    int layout;
    uint8_t *plane[3];
    size_t stride[3];
};

/* The numbers of pixels.Chroma; without chroma neither shift is set. */
enum { PLANAR, INTERLEAVED, NO_CHROMA };

/* The picture goes in tiles: as many pixels of one or two rows as stay in the cache, or, where
 * they have to be gathered, of TILE_HEIGHT rows. All sides are even, so that no tile
 * begins inside a chroma sample. */
enum { YUV_WIDTH = 1024, GATHERED_WIDTH = 128 };

/* ------------------------------------------------- how colours are read
 *
 * The rows that share a row of chroma are a group: one or two. They are read as
 * 32-bit words, in which a mask leaves a colour in its place, or as planes of floats from
 * 0 to 1: red, green, blue. The weights make up for the place. No mask may
 * have the highest bit, for only signed words become floats quickly. */

struct group {
    int rows;
    const uint8_t *words[2];
    const float *planes[2];
    uint8_t *luma[2]; /* where it goes */
};

/* What makes samples of the numbers read, half a level too large, so that cutting off is
 * rounding: luma = red * R + green * G + blue * B + low, and
 * Cb = blue_scale * (blue_alone * B - luma) + blue_middle, Cr likewise. blue_alone * B is the luma
 * of a grey that has as much of all colours as there is of blue, but for low. */
struct weights {
    uint32_t red_mask, green_mask, blue_mask;
    float red, green, blue, low;
    float red_alone, blue_alone;
    float red_scale, blue_scale;
    float red_middle, blue_middle;
};

struct colour {
    float red, green, blue;
};

INLINE struct colour colour_at(const struct group *group, int row, size_t x, int floats,
                               const struct weights *weights)
{
    struct colour colour;
    if (floats) {
        const float *plane = group->planes[row];
        colour.red = plane[x];
        colour.green = plane[YUV_WIDTH + x];
        colour.blue = plane[2 * YUV_WIDTH + x];
    } else {
        const uint32_t word = load_32(group->words[row] + x * 4);
        colour.red = (float)(int32_t)(word & weights->red_mask);
        colour.green = (float)(int32_t)(word & weights->green_mask);
        colour.blue = (float)(int32_t)(word & weights->blue_mask);
    }
    return colour;
}

INLINE float luma_of(struct colour colour, const struct weights *weights)
{
    return colour.red * weights->red + colour.green * weights->green +
           colour.blue * weights->blue + weights->low;
}

/* A column of a group: the luma of its pixels, and how far their blue and red are from it. */
struct column {
    float luma_0, luma_1;
    float blue, red; /* sums over the rows */
};

INLINE struct column column_at(const struct group *group, int rows, size_t x, int floats,
                               const struct weights *weights)
{
    const struct colour first = colour_at(group, 0, x, floats, weights);
    struct column column = {luma_of(first, weights), 0, first.blue, first.red};
    float luma = column.luma_0;
    if (rows == 2) {
        const struct colour second = colour_at(group, 1, x, floats, weights);
        column.luma_1 = luma_of(second, weights);
        column.blue += second.blue;
        column.red += second.red;
        luma += column.luma_1;
    }
    column.blue = column.blue * weights->blue_alone - luma;
    column.red = column.red * weights->red_alone - luma;
    return column;
}

/* -------------------------------------------------------- storing samples */

INLINE uint16_t little_16(uint32_t word)
{
    const uint16_t low = (uint16_t)word;
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap16(low) : low;
}

INLINE uint32_t little_32(uint32_t word)
{
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap32(word) : word;
}

INLINE void store_sample(uint8_t *out, size_t i, float value, int bytes, int shift)
{
    const uint32_t sample = (uint32_t)(int32_t)value;
    if (bytes == 1) {
        out[i] = (uint8_t)sample;
    } else {
        const uint16_t word = little_16(sample << shift);
        memcpy(out + i * 2, &word, sizeof word);
    }
}

/* Samples 2i and 2i + 1. */
INLINE void store_pair(uint8_t *out, size_t i, float left, float right, int bytes, int shift)
{
    const uint32_t a = (uint32_t)(int32_t)left, b = (uint32_t)(int32_t)right;
    if (bytes == 1) {
        const uint16_t word = little_16(a | b << 8);
        memcpy(out + i * 2, &word, sizeof word);
    } else {
        const uint32_t word = little_32((a | b << 16) << shift);
        memcpy(out + i * 4, &word, sizeof word);
    }
}

INLINE float at_most(float value, float top)
{
    return value < top ? value : top;
}

/* ---------------------------------------------- a group: chroma everywhere */

INLINE void convert_row(const struct group *group, uint32_t count, int floats, int bytes,
                        int chroma, const struct weights *weights, const struct ws_yuv *yuv,
                        uint8_t *restrict blue, uint8_t *restrict red)
{
    const struct group from = *group;
    const struct weights by = *weights;
    const float top = yuv->top + 0.5f;
    const int shift = yuv->shift;
    uint8_t *restrict luma = group->luma[0];
    for (size_t x = 0; x < count; x++) {
        const struct column column = column_at(&from, 1, x, floats, &by);
        store_sample(luma, x, column.luma_0, bytes, shift);
        if (chroma) {
            const float cb = column.blue * by.blue_scale + by.blue_middle;
            const float cr = column.red * by.red_scale + by.red_middle;
            store_sample(blue, x, at_most(cb, top), bytes, shift);
            store_sample(red, x, at_most(cr, top), bytes, shift);
        }
    }
}

/* ------------------------------ a group: chroma in every second column
 *
 * Columns are taken in pairs. Their luma is stored; what they add to the chroma of their own
 * place and, by the odd column, of the next one is kept, until all of the run is there. */

struct pairs {
    float blue[YUV_WIDTH / 2], red[YUV_WIDTH / 2];
    float odd_blue[1 + YUV_WIDTH / 2], odd_red[1 + YUV_WIDTH / 2]; /* from the pair before on */
};

INLINE void convert_pairs(const struct group *group, uint32_t count, int rows, int floats,
                          int bytes, const struct weights *weights, const struct ws_yuv *yuv,
                          struct pairs *pairs)
{
    const struct group from = *group;
    const struct weights by = *weights;
    const float here = yuv->here, after = yuv->after;
    const int shift = yuv->shift;
    uint8_t *restrict luma_0 = group->luma[0], *restrict luma_1 = group->luma[1];
    float *restrict blue = pairs->blue, *restrict red = pairs->red;
    float *restrict odd_blue = pairs->odd_blue + 1, *restrict odd_red = pairs->odd_red + 1;
    for (size_t i = 0; i < count / 2; i++) {
        const struct column even = column_at(&from, rows, 2 * i, floats, &by);
        const struct column odd = column_at(&from, rows, 2 * i + 1, floats, &by);
        store_pair(luma_0, i, even.luma_0, odd.luma_0, bytes, shift);
        if (rows == 2)
            store_pair(luma_1, i, even.luma_1, odd.luma_1, bytes, shift);
        blue[i] = even.blue * here + odd.blue * after;
        red[i] = even.red * here + odd.red * after;
        odd_blue[i] = odd.blue;
        odd_red[i] = odd.red;
    }
    if (count % 2) { /* the picture's last column, which is its own right neighbour */
        const struct column last = column_at(&from, rows, count - 1, floats, &by);
        store_sample(luma_0, count - 1, last.luma_0, bytes, shift);
        if (rows == 2)
            store_sample(luma_1, count - 1, last.luma_1, bytes, shift);
        blue[count / 2] = last.blue * (here + after);
        red[count / 2] = last.red * (here + after);
    }
}

INLINE void store_chroma(const struct pairs *pairs, uint32_t count, int rows, int bytes,
                         int interleaved, const struct weights *by, const struct ws_yuv *yuv,
                         uint8_t *restrict blue_out, uint8_t *restrict red_out)
{
    const float blue_scale = by->blue_scale / (float)rows, blue_middle = by->blue_middle;
    const float red_scale = by->red_scale / (float)rows, red_middle = by->red_middle;
    const float before = yuv->before, top = yuv->top + 0.5f;
    const int shift = yuv->shift;
    for (size_t i = 0; i < count; i++) {
        const float blue = pairs->blue[i] + pairs->odd_blue[i] * before;
        const float red = pairs->red[i] + pairs->odd_red[i] * before;
        const float cb = at_most(blue * blue_scale + blue_middle, top);
        const float cr = at_most(red * red_scale + red_middle, top);
        if (interleaved) {
            store_pair(blue_out, i, cb, cr, bytes, shift);
        } else {
            store_sample(blue_out, i, cb, bytes, shift);
            store_sample(red_out, i, cr, bytes, shift);
        }
    }
}

/* --------------------------------------- a group: the loop for each case */

INLINE void convert_each(const struct group *group, uint32_t count, int floats,
                         const struct weights *weights, const struct ws_yuv *yuv, uint8_t *blue,
                         uint8_t *red)
{
    const int chroma = yuv->layout != NO_CHROMA;
    if (yuv->bytes == 1 && chroma)
        convert_row(group, count, floats, 1, 1, weights, yuv, blue, red);
    else if (yuv->bytes == 1)
        convert_row(group, count, floats, 1, 0, weights, yuv, blue, red);
    else if (chroma)
        convert_row(group, count, floats, 2, 1, weights, yuv, blue, red);
    else
        convert_row(group, count, floats, 2, 0, weights, yuv, blue, red);
}

INLINE void convert_halved(const struct group *group, uint32_t count, int floats,
                           const struct weights *weights, const struct ws_yuv *yuv,
                           struct pairs *pairs)
{
    if (yuv->bytes == 1 && group->rows == 1)
        convert_pairs(group, count, 1, floats, 1, weights, yuv, pairs);
    else if (yuv->bytes == 1)
        convert_pairs(group, count, 2, floats, 1, weights, yuv, pairs);
    else if (group->rows == 1)
        convert_pairs(group, count, 1, floats, 2, weights, yuv, pairs);
    else
        convert_pairs(group, count, 2, floats, 2, weights, yuv, pairs);
}

INLINE void store_halved(const struct pairs *pairs, uint32_t count, int rows,
                         const struct weights *weights, const struct ws_yuv *yuv, uint8_t *blue,
                         uint8_t *red)
{
    const int interleaved = yuv->layout == INTERLEAVED;
    if (yuv->bytes == 1 && interleaved)
        store_chroma(pairs, count, rows, 1, 1, weights, yuv, blue, red);
    else if (yuv->bytes == 1)
        store_chroma(pairs, count, rows, 1, 0, weights, yuv, blue, red);
    else if (interleaved)
        store_chroma(pairs, count, rows, 2, 1, weights, yuv, blue, red);
    else
        store_chroma(pairs, count, rows, 2, 0, weights, yuv, blue, red);
}

/* ---------------------------------------------------- bringing pixels in */

/* How a picture's pixels come to be words or floats. */
struct reading {
    int as_words;   /* unless they are translucent */
    int to_shuffle; /* into words with red in the lowest byte, then green, then blue */
    struct shuffle plan;
    struct weights of_words, of_floats;
};

union scratch {
    float planes[2][3 * YUV_WIDTH];
    uint8_t words[2][4 * YUV_WIDTH];
};

/* Weights of colours that are from 0 to these numbers. */
INLINE void plan_weights(const struct ws_yuv *yuv, float red_max, float green_max,
                         float blue_max, struct weights *out)
{
    out->low = yuv->luma_low + 0.5f;
    out->red_alone = yuv->luma_span / red_max;
    out->blue_alone = yuv->luma_span / blue_max;
    out->red = yuv->red * out->red_alone;
    out->green = yuv->green * yuv->luma_span / green_max;
    out->blue = yuv->blue * out->blue_alone;
    out->red_scale = yuv->chroma_span / (2 * (1 - yuv->red)) / yuv->luma_span;
    out->blue_scale = yuv->chroma_span / (2 * (1 - yuv->blue)) / yuv->luma_span;
    out->red_middle = yuv->chroma_middle + 0.5f + out->low * out->red_scale;
    out->blue_middle = yuv->chroma_middle + 0.5f + out->low * out->blue_scale;
}

INLINE void plan_reading(const struct ws_image *image, const struct ws_yuv *yuv,
                         struct reading *out)
{
    const int bytes = image->kind == BYTES, bits = bytes ? 8 : 10, unit = bytes ? 8 : 1;
    const uint32_t mask = (1u << bits) - 1;
    int red = image->red * unit, green = image->green * unit, blue = image->blue * unit;
    const int signless = red + bits < 32 && green + bits < 32 && blue + bits < 32;
    out->as_words = bytes || (image->kind == PACKED_1010102 && signless);
    out->to_shuffle = bytes && (image->bytes != 4 || !signless);
    out->plan = plan_shuffle(image, 4);
    plan_weights(yuv, 1, 1, 1, &out->of_floats);
    if (!out->as_words)
        return;
    if (out->to_shuffle)
        red = 0, green = 8, blue = 16;
    out->of_words.red_mask = mask << red;
    out->of_words.green_mask = mask << green;
    out->of_words.blue_mask = mask << blue;
    plan_weights(yuv, (float)(mask << red), (float)(mask << green), (float)(mask << blue),
                 &out->of_words);
}

/* Upright pixels that lie side by side to planes, translucent ones over black. */
INLINE void fill_planes(const struct ws_image *image, const uint8_t *from, uint32_t count,
                        float *planes)
{
    const int blends = image->alpha_mode == STRAIGHT;
    struct samples samples;
    for (uint32_t done = 0, run; done < count; done += run) {
        run = count - done < RUN ? count - done : RUN;
        load_samples(image, from + (size_t)done * (uint32_t)image->bytes, run, &samples);
        for (int c = 0; c < 3; c++) {
            const double scale = 1 / (samples.max[c] * (blends ? samples.max[3] : 1));
            float *plane = planes + c * YUV_WIDTH + done;
            for (uint32_t i = 0; i < run; i++)
                plane[i] = (float)(samples.channel[c][i] * scale *
                                   (blends ? samples.channel[3][i] : 1));
        }
    }
}

/* Make a group's rows readable; from points at its upright pixels. Returns whether as floats. */
INLINE int read_group(const struct ws_image *image, const struct reading *reading,
                      const uint8_t *const from[2], uint32_t count, union scratch *scratch,
                      struct group *group)
{
    int floats = !reading->as_words;
    if (!floats && image->alpha_mode == STRAIGHT)
        for (int row = 0; row < group->rows; row++)
            floats |= image->kind != BYTES || !all_opaque(image, from[row], count);
    for (int row = 0; row < group->rows; row++) {
        group->words[row] = from[row];
        group->planes[row] = scratch->planes[row];
        if (floats) {
            fill_planes(image, from[row], count, scratch->planes[row]);
        } else if (reading->to_shuffle) {
            group->words[row] = scratch->words[row];
            shuffle_run(&reading->plan, from[row], count, (uint32_t)image->bytes, 4,
                        scratch->words[row]);
        }
    }
    return floats;
}

/* The odd column before a run, once for each group of a tile. */
struct before {
    float blue, red;
};

/* Convert count columns from x on of a group's rows, of which y is the first. */
INLINE void convert_group(const struct ws_image *image, const struct reading *reading,
                          const struct ws_yuv *yuv, const uint8_t *const from[2], int rows,
                          uint32_t x, uint32_t y, uint32_t count, struct before *before)
{
    union scratch scratch;
    struct pairs pairs;
    struct group group = {.rows = rows};
    const size_t size = (size_t)yuv->bytes, chroma_x = x >> yuv->shift_x;
    const size_t chroma_y = y >> yuv->shift_y, half = count / 2;
    const size_t chroma_size = yuv->layout == INTERLEAVED ? 2 * size : size;
    uint8_t *blue = yuv->plane[1], *red = yuv->plane[2];
    for (int row = 0; row < rows; row++)
        group.luma[row] = yuv->plane[0] + (y + (size_t)row) * yuv->stride[0] + x * size;
    if (yuv->layout != NO_CHROMA)
        blue += chroma_y * yuv->stride[1] + chroma_x * chroma_size;
    if (yuv->layout == PLANAR)
        red += chroma_y * yuv->stride[2] + chroma_x * chroma_size;
    const int floats = read_group(image, reading, from, count, &scratch, &group);
    const struct weights *weights = floats ? &reading->of_floats : &reading->of_words;
    if (!yuv->shift_x) {
        if (floats)
            convert_each(&group, count, 1, weights, yuv, blue, red);
        else
            convert_each(&group, count, 0, weights, yuv, blue, red);
        return;
    }
    if (floats)
        convert_halved(&group, count, 1, weights, yuv, &pairs);
    else
        convert_halved(&group, count, 0, weights, yuv, &pairs);
    if (x == 0) { /* the picture's first column is its own left neighbour */
        const struct column first = column_at(&group, rows, 0, floats, weights);
        before->blue = first.blue;
        before->red = first.red;
    }
    pairs.odd_blue[0] = before->blue;
    pairs.odd_red[0] = before->red;
    before->blue = pairs.odd_blue[half];
    before->red = pairs.odd_red[half];
    store_halved(&pairs, (count + 1) / 2, rows, weights, yuv, blue, red);
}

/* Convert the whole picture. */
CLONES static void ws_to_yuv(const struct ws_image *image, const struct ws_yuv *yuv)
{
    uint8_t tile[TILE_HEIGHT * GATHERED_WIDTH * PIXEL_MAX];
    struct before before[TILE_HEIGHT];
    struct reading reading;
    const int gathered = image->step_x != image->bytes;
    const uint32_t step = 1u << yuv->shift_y;
    const uint32_t most_rows = gathered ? TILE_HEIGHT : step;
    const uint32_t most_columns = gathered ? GATHERED_WIDTH : YUV_WIDTH;
    const size_t tile_stride = (size_t)(GATHERED_WIDTH * image->bytes);
    plan_reading(image, yuv, &reading);
    for (uint32_t y = 0, high; y < image->height; y += high) {
        high = image->height - y < most_rows ? image->height - y : most_rows;
        for (uint32_t x = 0, wide; x < image->width; x += wide) {
            const uint8_t *from =
                image->origin + (ptrdiff_t)x * image->step_x + (ptrdiff_t)y * image->step_y;
            ptrdiff_t stride = image->step_y;
            wide = image->width - x < most_columns ? image->width - x : most_columns;
            if (gathered) {
                gather(image, x, y, wide, high, tile, tile_stride);
                from = tile;
                stride = (ptrdiff_t)tile_stride;
            }
            for (uint32_t row = 0; row < high; row += step) {
                const int rows = high - row < step ? 1 : (int)step;
                const uint8_t *const group[2] = {from + (ptrdiff_t)row * stride,
                                                 from + (ptrdiff_t)(row + rows - 1) * stride};
                convert_group(image, &reading, yuv, group, rows, x, y + row, wide,
                              &before[row >> yuv->shift_y]);
            }
        }
    }
}
