/* to (N, M) = from (M, N) */

#include "kernels.h"

int transpose_fits(const Array *a) {
    return has_shape(a[1], a[0].columns, a[0].rows) && has_rows(a[0]) && has_rows(a[1]);
}

#ifdef X86

/* The elements of a and b, one behind the other, that the numbers say. */
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int Numbers __attribute__((vector_size(32)));
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (Numbers){__VA_ARGS__})
#endif

/* Of eight rows of eight: pairs of rows are interleaved by one element, then by two, then by four. */
AVX2 static void transpose_square(const float *from, Py_ssize_t stride, float *to, Py_ssize_t to_stride) {
    Eight a[8], b[8];
    for (int r = 0; r < 8; r++)
        a[r] = *(const Eight *)(from + r * stride);
    for (int r = 0; r < 8; r += 2) {
        b[r] = SHUFFLE(a[r], a[r + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        b[r + 1] = SHUFFLE(a[r], a[r + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int r = 0; r < 8; r += 4)
        for (int k = r; k < r + 2; k++) {
            a[k] = SHUFFLE(b[k], b[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            a[k + 2] = SHUFFLE(b[k], b[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int k = 0; k < 4; k++) {
        *(Eight *)(to + k * to_stride) = SHUFFLE(a[k], a[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(Eight *)(to + (k + 4) * to_stride) = SHUFFLE(a[k], a[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

#endif

/* By squares, so that their rows and columns both stay in the cache. The last ones begin where they still fit in. */
INLINE void transpose_rows(const Array from, const Array to, int avx2) {
    (void)avx2;
    for (Py_ssize_t i = 0; i < from.rows; i += 8)
        for (Py_ssize_t j = 0; j < from.columns; j += 8) {
#ifdef X86
            if (avx2 && from.rows >= 8 && from.columns >= 8) {
                const Py_ssize_t row = Py_MIN(i, from.rows - 8), column = Py_MIN(j, from.columns - 8);
                transpose_square(from.data + row * from.stride + column, from.stride,
                                 to.data + column * to.stride + row, to.stride);
                continue;
            }
#endif
            for (Py_ssize_t column = j; column < j + 8 && column < from.columns; column++)
                for (Py_ssize_t row = i; row < i + 8 && row < from.rows; row++)
                    to.data[column * to.stride + row] = from.data[row * from.stride + column];
        }
}

void transpose_plain(const Array *arrays) { transpose_rows(arrays[0], arrays[1], 0); }
#ifdef X86
void transpose_avx2(const Array *arrays) { transpose_rows(arrays[0], arrays[1], 1); }
#endif
