/* out (M, N) = weights (M, K) · x (K, N)

   Each element is a sum in one order: a chain of fused multiply-adds for every DEPTH columns of the weights, and the
   chains added up. So it has the same bits however many columns stand beside it, with AVX2 and with AVX-512.

   The sums of a block, ROWS rows of the weights by one or two vectors of columns of x, stay in registers over DEPTH of
   K. The rows of x and of out are in one piece; those of the weights need not be. */

#include "kernels.h"

#include <stdlib.h>
#include <string.h>

int product_fits(const Array *a) {
    return has_shape(a[0], a[2].rows, a[1].rows) && a[1].columns == a[2].columns && a[1].rows > 0 &&
           has_rows(a[1]) && has_rows(a[2]);
}

#ifdef X86

#define ROWS 8
#define DEPTH 512
#define CHUNK 128 /* of more columns, so many are copied to one place, where they fit in the cache, and meet all rows */

/* Compute out[row…][column…], or with `add` add to it. */
typedef void Block(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column, int add);

typedef struct {
    Py_ssize_t columns;
    Block *rows, *row;
} Width;

#define EACH(index, count) _Pragma("GCC unroll 8") for (int index = 0; index < (count); index++)

/* `height` rows by `count` vectors, `together` rows at a time: as many sums as there are registers for. */
#define BLOCK(name, target, height, together, vector, count)                                                           \
    target static void name(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column,    \
                            int add) {                                                                                 \
        enum { LANES = sizeof(vector) / sizeof(float) };                                                               \
        for (Py_ssize_t first = row; first < row + height; first += together) {                                        \
            const float *w = weights.data + first * weights.stride, *from = x.data + column;                           \
            float *to = out.data + first * out.stride + column;                                                        \
            vector sums[together][count];                                                                              \
            memset(sums, 0, sizeof sums);                                                                              \
            for (Py_ssize_t k = 0; k < x.rows; k++)                                                                    \
                EACH(r, together)                                                                                      \
                    EACH(c, count) sums[r][c] += w[r * weights.stride + k * weights.across] *                          \
                                                 *(const vector *)(from + k * x.stride + c * LANES);                   \
            if (add)                                                                                                   \
                EACH(r, together) EACH(c, count) sums[r][c] += *(vector *)(to + r * out.stride + c * LANES);           \
            EACH(r, together) EACH(c, count) *(vector *)(to + r * out.stride + c * LANES) = sums[r][c];                \
        }                                                                                                              \
    }

BLOCK(rows_8_avx2, AVX2, ROWS, 8, Eight, 1)
BLOCK(rows_16_avx2, AVX2, ROWS, 4, Eight, 2)
BLOCK(rows_16_avx512, AVX512, ROWS, 8, Sixteen, 1)
BLOCK(rows_32_avx512, AVX512, ROWS, 8, Sixteen, 2)
BLOCK(row_8, AVX2, 1, 1, Eight, 1)
BLOCK(row_16, AVX2, 1, 1, Eight, 2)
BLOCK(row_32, AVX512, 1, 1, Sixteen, 2)

/* The widest blocks first. */
static const Width avx2[] = {{16, rows_16_avx2, row_16}, {8, rows_8_avx2, row_8}};
static const Width avx512[] = {{32, rows_32_avx512, row_32}, {16, rows_16_avx512, row_16}, {8, rows_8_avx2, row_8}};

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
static void product_of_blocks(const Array weights, const Array x, const Array out, const Width *widest, int add) {
    for (Py_ssize_t row = 0; row < out.rows; row += out.rows - row >= ROWS ? ROWS : 1) {
        const Width *width = widest;
        for (Py_ssize_t column = 0; column < x.columns; column += width->columns) {
            while (width->columns > x.columns - column)
                width++;
            (out.rows - row >= ROWS ? width->rows : width->row)(weights, x, out, row, column, add);
        }
    }
}

static Array part(const Array a, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) {
    return (Array){a.data + row * a.stride + column * a.across, rows, columns, a.stride, a.across};
}

static void product(const Array *arrays, const Width *widest) {
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
            product_of_blocks(w, some, part(out, 0, out.rows, n, some.columns), widest, k > 0);
        }
        product_of_columns(w, part(x, k, depth, 0, x.columns), out, in_blocks, k > 0);
    }
    free(near);
}

void product_avx2(const Array *arrays) { product(arrays, avx2); }
void product_avx512(const Array *arrays) { product(arrays, avx512); }

#endif
