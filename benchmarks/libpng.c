/* Encodes a raw XRGB8888 picture as grim does: libpng, level 6, all filters, row by row.
 * Arguments: file, width, height. Prints nanoseconds and bytes. */

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t written;

static void count(png_structp png, png_bytep data, size_t length)
{
    (void)png, (void)data;
    written += length;
}

static void encode(const unsigned char *pixels, unsigned width, unsigned height)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    unsigned char *row = malloc((size_t)width * 3);
    png_set_write_fn(png, NULL, count, NULL);
    png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
    png_set_compression_level(png, 6);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    png_write_info(png, info);
    for (unsigned y = 0; y < height; y++) {
        for (unsigned x = 0; x < width; x++, pixels += 4) {
            row[3 * x] = pixels[2];
            row[3 * x + 1] = pixels[1];
            row[3 * x + 2] = pixels[0];
        }
        png_write_row(png, row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const unsigned width = (unsigned)atoi(argv[2]), height = (unsigned)atoi(argv[3]);
    const size_t length = (size_t)width * height * 4;
    unsigned char *pixels = malloc(length);
    FILE *file = fopen(argv[1], "rb");
    if (!pixels || !file || fread(pixels, 1, length, file) != length)
        return 1;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    encode(pixels, width, height);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%lld %zu\n",
           (end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec), written);
    return 0;
}
