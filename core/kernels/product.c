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
#define FEW 8     /* with fewer columns, the vectors are of rows, where these are side by side in the weights */

/* Compute out[row…][column…], or with `add` add to it. */
typedef void Block(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column, int add);

/* Of blocks whose vectors are of columns: the most columns, and the blocks of as many rows as the level has, of four,
   and of one. */
typedef struct {
    Py_ssize_t columns;
    Block *tall, *four, *one;
} Wide;

/* Of those whose vectors are of rows: the rows and the columns. */
typedef struct {
    Py_ssize_t rows, columns;
    Block *block;
} Tall;

typedef struct {
    Py_ssize_t rows;
    const Wide *wide; /* the widest first; after them nothing */
    const Tall *tall; /* of the most columns first, then of the most rows; the last are 8 by 1 */
} Level;

#define EACH(index, count) _Pragma("GCC unroll 8") for (int index = 0; index < (count); index++)

/* The masks of the first `count` lanes. */
AVX512 static inline __mmask16 first_of_sixteen(Py_ssize_t count) { return count < 16 ? (1 << count) - 1 : 0xffff; }
AVX2 static inline __m256i first_of_eight(Py_ssize_t count) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)Py_MIN(count, 8)), lanes);
}

#define SIXTEEN(...) Sixteen, 16, first_of_sixteen, __mmask16, _mm512_maskz_loadu_ps, _mm512_mask_storeu_ps
#define EIGHT(...) Eight, 8, first_of_eight, __m256i, load_eight, _mm256_maskstore_ps
AVX2 static inline Eight load_eight(__m256i mask, const float *from) { return _mm256_maskload_ps(from, mask); }

#define SUMS(height, count, vector, lanes, last_value)                                                                 \
    for (Py_ssize_t k = 0; k < x.rows; k++) {                                                                          \
        const float *at = from + k * x.stride, *end = at + (count - 1) * lanes;                                        \
        const vector end_value = last_value;                                                                           \
        EACH(r, height)                                                                                                \
            EACH(c, count) sums[r][c] += w[r * weights.stride + k * weights.across] *                                  \
                                         (c == count - 1 ? end_value : *(const vector *)(at + c * lanes));             \
    }

/* `height` rows by `count` vectors of columns; what the last vector has too many of is neither read nor written. */
#define BLOCK(name, target, height, count, kind) BLOCK_OF(name, target, height, count, kind())
#define BLOCK_OF(...) BLOCK_OF_VECTORS(__VA_ARGS__)
#define BLOCK_OF_VECTORS(name, target, height, count, vector, lanes, first, mask, load, store)                         \
    target static void name(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column,    \
                            int add) {                                                                                 \
        const float *w = weights.data + row * weights.stride, *from = x.data + column;                                 \
        float *to = out.data + row * out.stride + column;                                                              \
        const Py_ssize_t left = x.columns - column;                                                                    \
        const mask last = first(left - (count - 1) * lanes);                                                           \
        const int whole = left >= count * lanes;                                                                       \
        vector sums[height][count];                                                                                    \
        EACH(r, height) EACH(c, count) sums[r][c] = (vector){0};                                                       \
        if (whole)                                                                                                     \
            SUMS(height, count, vector, lanes, *(const vector *)end)                                                   \
        else                                                                                                           \
            SUMS(height, count, vector, lanes, (vector)load(last, end))                                                \
        EACH(r, height) {                                                                                              \
            float *into = to + r * out.stride, *end = into + (count - 1) * lanes;                                      \
            if (add) {                                                                                                 \
                EACH(c, count - 1) sums[r][c] += *(vector *)(into + c * lanes);                                        \
                sums[r][count - 1] += load(last, end);                                                                 \
            }                                                                                                          \
            EACH(c, count - 1) *(vector *)(into + c * lanes) = sums[r][c];                                             \
            if (whole)                                                                                                 \
                *(vector *)end = sums[r][count - 1];                                                                   \
            else                                                                                                       \
                store(end, last, sums[r][count - 1]);                                                                  \
        }                                                                                                              \
    }

BLOCK(block_8x32, AVX512, 8, 2, SIXTEEN)
BLOCK(block_4x32, AVX512, 4, 2, SIXTEEN)
BLOCK(block_1x32, AVX512, 1, 2, SIXTEEN)
BLOCK(block_8x16, AVX512, 8, 1, SIXTEEN)
BLOCK(block_4x16, AVX512, 4, 1, SIXTEEN)
BLOCK(block_1x16, AVX512, 1, 1, SIXTEEN)
BLOCK(block_6x16, AVX2, 6, 2, EIGHT)
BLOCK(block_4x2x8, AVX2, 4, 2, EIGHT)
BLOCK(block_1x2x8, AVX2, 1, 2, EIGHT)
BLOCK(block_6x8, AVX2, 6, 1, EIGHT)
BLOCK(block_4x8, AVX2, 4, 1, EIGHT)
BLOCK(block_1x8, AVX2, 1, 1, EIGHT)

/* `count` vectors of rows by `width` columns. */
#define COLUMNS(name, target, vector, count, width)                                                                    \
    target static void name(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column,    \
                            int add) {                                                                                 \
        enum { LANES = sizeof(vector) / sizeof(float) };                                                               \
        union {                                                                                                        \
            vector vectors[width][count];                                                                              \
            float each[width][count * LANES];                                                                          \
        } sums;                                                                                                        \
        memset(&sums, 0, sizeof sums);                                                                                 \
        for (Py_ssize_t k = 0; k < x.rows; k++)                                                                        \
            EACH(c, count)                                                                                             \
                EACH(n, width) sums.vectors[n][c] +=                                                                   \
                    *(const vector *)(weights.data + row + k * weights.across + LANES * c) *                           \
                    x.data[k * x.stride + column + n];                                                                 \
        float *to = out.data + row * out.stride + column;                                                              \
        if (width == 1 && out.stride == 1) {                                                                           \
            if (add)                                                                                                   \
                EACH(c, count) sums.vectors[0][c] += *(vector *)(to + LANES * c);                                      \
            EACH(c, count) *(vector *)(to + LANES * c) = sums.vectors[0][c];                                           \
        } else {                                                                                                       \
            for (int r = 0; r < count * LANES; r++)                                                                    \
                EACH(n, width) {                                                                                       \
                    float *into = to + r * out.stride + n;                                                             \
                    *into = add ? sums.each[n][r] + *into : sums.each[n][r];                                           \
                }                                                                                                      \
        }                                                                                                              \
    }

COLUMNS(columns_32x4, AVX512, Sixteen, 2, 4)
COLUMNS(columns_16x4, AVX2, Eight, 2, 4)
COLUMNS(columns_8x4, AVX2, Eight, 1, 4)
COLUMNS(columns_64x2, AVX512, Sixteen, 4, 2)
COLUMNS(columns_32x2, AVX2, Eight, 4, 2)
COLUMNS(columns_8x2, AVX2, Eight, 1, 2)
COLUMNS(columns_128x1, AVX512, Sixteen, 8, 1)
COLUMNS(columns_64x1, AVX2, Eight, 8, 1)
COLUMNS(columns_32x1, AVX2, Eight, 4, 1)
COLUMNS(columns_8x1, AVX2, Eight, 1, 1)

static const Wide wide_avx512[] = {
    {32, block_8x32, block_4x32, block_1x32}, {16, block_8x16, block_4x16, block_1x16}, {0}};
static const Wide wide_avx2[] = {
    {16, block_6x16, block_4x2x8, block_1x2x8}, {8, block_6x8, block_4x8, block_1x8}, {0}};
static const Tall tall_avx512[] = {{32, 4, columns_32x4},   {8, 4, columns_8x4},   {64, 2, columns_64x2},
                                   {32, 2, columns_32x2},   {8, 2, columns_8x2},   {128, 1, columns_128x1},
                                   {32, 1, columns_32x1},   {8, 1, columns_8x1}};
static const Tall tall_avx2[] = {{16, 4, columns_16x4}, {8, 4, columns_8x4},   {32, 2, columns_32x2},
                                 {8, 2, columns_8x2},   {64, 1, columns_64x1}, {32, 1, columns_32x1},
                                 {8, 1, columns_8x1}};
static const Level avx512 = {8, wide_avx512, tall_avx512}, avx2 = {6, wide_avx2, tall_avx2};

/* The rows from `first` on, with vectors of columns. */
static void product_by_columns(const Array weights, const Array x, const Array out, Py_ssize_t first,
                               const Level *level, int add) {
    Py_ssize_t rows;
    for (Py_ssize_t row = first; row < out.rows; row += rows) {
        const Py_ssize_t left = out.rows - row;
        rows = left >= level->rows && left != level->rows + 2 ? level->rows : left >= 4 ? 4 : 1; /* not 2 at the end */
        const Wide *wide = level->wide;
        for (Py_ssize_t column = 0; column < x.columns; column += wide->columns) {
            while (wide[1].columns >= x.columns - column)
                wide++;
            (rows == 1 ? wide->one : rows == 4 ? wide->four : wide->tall)(weights, x, out, row, column, add);
        }
    }
}

/* With vectors of rows, as many as are a multiple of 8; the number of these. */
static Py_ssize_t product_by_rows(const Array weights, const Array x, const Array out, const Level *level, int add) {
    const Py_ssize_t rows = out.rows - out.rows % 8;
    const Tall *first = level->tall;
    for (Py_ssize_t column = 0; rows && column < x.columns; column += first->columns) {
        while (first->columns > x.columns - column)
            first++;
        const Tall *tall = first;
        for (Py_ssize_t row = 0; row < rows; row += tall->rows) {
            while (tall->rows > rows - row)
                tall++;
            tall->block(weights, x, out, row, column, add);
        }
    }
    return rows;
}

static Array part(const Array a, Py_ssize_t row, Py_ssize_t rows, Py_ssize_t column, Py_ssize_t columns) {
    return array_of(a.data + row * a.stride + column * a.across, rows, columns, a.stride, a.across);
}

static void product(const Array *arrays, const Level *level) {
    const Array weights = arrays[0], x = arrays[1], out = arrays[2];
    const int few = x.columns < FEW && weights.stride == 1;
    float *near = x.columns > CHUNK ? malloc(DEPTH * CHUNK * sizeof(float)) : NULL; /* without it, it takes longer */
    const Py_ssize_t chunk = near ? CHUNK : x.columns;
    for (Py_ssize_t k = 0; k < x.rows; k += DEPTH) {
        const Py_ssize_t depth = Py_MIN(DEPTH, x.rows - k);
        const Array w = part(weights, 0, weights.rows, k, depth);
        for (Py_ssize_t n = 0; n < x.columns; n += chunk) {
            Array some = part(x, k, depth, n, Py_MIN(chunk, x.columns - n));
            if (near) {
                for (Py_ssize_t row = 0; row < depth; row++)
                    memcpy(near + row * CHUNK, some.data + row * some.stride, some.columns * sizeof(float));
                some = array_of(near, depth, some.columns, CHUNK, 1);
            }
            const Array to = part(out, 0, out.rows, n, some.columns);
            product_by_columns(w, some, to, few ? product_by_rows(w, some, to, level, k > 0) : 0, level, k > 0);
        }
    }
    free(near);
}

void product_avx2(const Array *arrays) { product(arrays, &avx2); }
void product_avx512(const Array *arrays) { product(arrays, &avx512); }

#endif
