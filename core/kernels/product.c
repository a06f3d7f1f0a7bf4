/* out (M, N) = weights (M, K) · x (K, N)

   Each element is a sum in one order: a chain of fused multiply-adds for every DEPTH columns of the weights, and the
   chains added up. So it has the same bits however many columns stand beside it, with AVX2 and with AVX-512.

   The sums of a block, some rows of the weights by one or two vectors of columns of x, stay in registers over DEPTH of
   K: eight rows with AVX-512, and six with AVX2, which has half as many registers. The rows of x and of out are in one
   piece; those of the weights need not be. */

#include "kernels.h"

#include <stdlib.h>
#include <string.h>

int product_fits(const Array *a) {
    return has_shape(a[0], a[2].rows, a[1].rows) && a[1].columns == a[2].columns && a[1].rows > 0 &&
           has_rows(a[1]) && has_rows(a[2]);
}

#ifdef X86

#define DEPTH 512
#define CHUNK 128 /* of more columns, so many are copied to one place, where they fit in the cache, and meet all rows */

/* Compute out[row…][column…], or with `add` add to it. */
typedef void Block(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column, int add);

typedef struct {
    Py_ssize_t columns; /* of the blocks, for as many rows as the level has, for four, and for one */
    Block *tall, *four, *one;
} Width;

typedef struct {
    Py_ssize_t rows;
    const Width *widths; /* the widest first, and the last of 8 columns */
} Level;

#define EACH(index, count) _Pragma("GCC unroll 8") for (int index = 0; index < (count); index++)

/* `height` rows by `count` vectors. */
#define BLOCK(name, target, height, vector, count)                                                                     \
    target static void name(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column,    \
                            int add) {                                                                                 \
        enum { LANES = sizeof(vector) / sizeof(float) };                                                               \
        const float *w = weights.data + row * weights.stride, *from = x.data + column;                                 \
        float *to = out.data + row * out.stride + column;                                                              \
        vector sums[height][count];                                                                                    \
        memset(sums, 0, sizeof sums);                                                                                  \
        for (Py_ssize_t k = 0; k < x.rows; k++)                                                                        \
            EACH(r, height)                                                                                            \
                EACH(c, count) sums[r][c] += w[r * weights.stride + k * weights.across] *                              \
                                             *(const vector *)(from + k * x.stride + c * LANES);                       \
        if (add)                                                                                                       \
            EACH(r, height) EACH(c, count) sums[r][c] += *(vector *)(to + r * out.stride + c * LANES);                 \
        EACH(r, height) EACH(c, count) *(vector *)(to + r * out.stride + c * LANES) = sums[r][c];                      \
    }

BLOCK(block_8x32, AVX512, 8, Sixteen, 2)
BLOCK(block_4x32, AVX512, 4, Sixteen, 2)
BLOCK(block_1x32, AVX512, 1, Sixteen, 2)
BLOCK(block_8x16, AVX512, 8, Sixteen, 1)
BLOCK(block_6x16, AVX2, 6, Eight, 2)
BLOCK(block_4x16, AVX2, 4, Eight, 2)
BLOCK(block_1x16, AVX2, 1, Eight, 2)
BLOCK(block_8x8, AVX2, 8, Eight, 1)
BLOCK(block_6x8, AVX2, 6, Eight, 1)
BLOCK(block_4x8, AVX2, 4, Eight, 1)
BLOCK(block_1x8, AVX2, 1, Eight, 1)

static const Width widths_avx512[] = {{32, block_8x32, block_4x32, block_1x32},
                                      {16, block_8x16, block_4x16, block_1x16},
                                      {8, block_8x8, block_4x8, block_1x8}};
static const Width widths_avx2[] = {{16, block_6x16, block_4x16, block_1x16}, {8, block_6x8, block_4x8, block_1x8}};
static const Level avx512 = {8, widths_avx512}, avx2 = {6, widths_avx2};

/* One column by `count` vectors of rows, which are side by side in the weights. */
#define COLUMN(name, count)                                                                                            \
    AVX2 static void name(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column,      \
                          int add) {                                                                                   \
        Eight sums[count];                                                                                             \
        memset(sums, 0, sizeof sums);                                                                                  \
        for (Py_ssize_t k = 0; k < x.rows; k++)                                                                        \
            EACH(c, count) sums[c] += *(const Eight *)(weights.data + row + k * weights.across + 8 * c) *              \
                                      x.data[k * x.stride + column];                                                   \
        for (int r = 0; r < 8 * count; r++) {                                                                          \
            float *to = out.data + (row + r) * out.stride + column;                                                    \
            *to = add ? sums[r / 8][r % 8] + *to : sums[r / 8][r % 8];                                                 \
        }                                                                                                              \
    }

COLUMN(column_32, 4)
COLUMN(column_8, 1)

AVX2 static void element(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column,
                         int add) {
    float sum = 0, *to = out.data + row * out.stride + column;
    for (Py_ssize_t k = 0; k < x.rows; k++)
        sum += weights.data[row * weights.stride + k * weights.across] * x.data[k * x.stride + column];
    *to = add ? sum + *to : sum;
}

/* The columns from `first` on, one by one. */
static void product_of_columns(const Array weights, const Array x, const Array out, Py_ssize_t first, int add) {
    for (Py_ssize_t column = first; column < x.columns; column++) {
        Py_ssize_t row = 0;
        for (; weights.stride == 1 && row + 32 <= out.rows; row += 32)
            column_32(weights, x, out, row, column, add);
        for (; weights.stride == 1 && row + 8 <= out.rows; row += 8)
            column_8(weights, x, out, row, column, add);
        for (; row < out.rows; row++)
            element(weights, x, out, row, column, add);
    }
}

/* The columns of x, a multiple of 8 of them, in blocks. */
static void product_of_blocks(const Array weights, const Array x, const Array out, const Level *level, int add) {
    Py_ssize_t rows;
    for (Py_ssize_t row = 0; row < out.rows; row += rows) {
        const Py_ssize_t left = out.rows - row;
        rows = left >= level->rows && left != level->rows + 2 ? level->rows : left >= 4 ? 4 : 1; /* not 2 at the end */
        const Width *width = level->widths;
        for (Py_ssize_t column = 0; column < x.columns; column += width->columns) {
            while (width->columns > x.columns - column)
                width++;
            (rows == 1 ? width->one : rows == 4 ? width->four : width->tall)(weights, x, out, row, column, add);
        }
    }
}

static Array part(const Array a, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) {
    return (Array){a.data + row * a.stride + column * a.across, rows, columns, a.stride, a.across};
}

static void product(const Array *arrays, const Level *level) {
    const Array weights = arrays[0], x = arrays[1], out = arrays[2];
    const Py_ssize_t in_blocks = x.columns - x.columns % 8;
    float *near = in_blocks > CHUNK ? malloc(DEPTH * CHUNK * sizeof(float)) : NULL; /* without it, it takes longer */
    for (Py_ssize_t k = 0; k < x.rows; k += DEPTH) {
        const Py_ssize_t depth = Py_MIN(DEPTH, x.rows - k), chunk = near ? CHUNK : in_blocks;
        const Array w = part(weights, 0, weights.rows, k, depth);
        for (Py_ssize_t n = 0; n < in_blocks; n += chunk) {
            Array some = part(x, k, depth, n, Py_MIN(chunk, in_blocks - n));
            if (near) {
                for (Py_ssize_t row = 0; row < depth; row++)
                    memcpy(near + row * CHUNK, some.data + row * some.stride, some.columns * sizeof(float));
                some = (Array){near, depth, some.columns, CHUNK, 1};
            }
            product_of_blocks(w, some, part(out, 0, out.rows, n, some.columns), level, k > 0);
        }
        product_of_columns(w, part(x, k, depth, 0, x.columns), out, in_blocks, k > 0);
    }
    free(near);
}

void product_avx2(const Array *arrays) { product(arrays, &avx2); }
void product_avx512(const Array *arrays) { product(arrays, &avx512); }

#endif
