/* to (M, N) = from (M, N), each row times its factor (M, 1)

   Either the rows of `to` are in one piece, or the columns, as of weights for products with few columns. */

#include "kernels.h"

int scale_fits(const Array *a) {
    return has_shape(a[1], a[0].rows, 1) && has_shape(a[2], a[0].rows, a[0].columns) && has_rows(a[0]) &&
           (a[1].rows <= 1 || a[1].stride == 1) && (has_rows(a[2]) || a[2].rows <= 1 || a[2].stride == 1);
}

INLINE void scale(const Array *arrays, Kernel *transpose) {
    const Array from = arrays[0], to = arrays[2];
    const float *factors = arrays[1].data;
    if (has_rows(to)) {
        for (Py_ssize_t row = 0; row < to.rows; row++)
            DISJOINT
            for (Py_ssize_t column = 0; column < to.columns; column++)
                to.data[row * to.stride + column] = from.data[row * from.stride + column] * factors[row];
        return;
    }
    transpose((Array[]){from, array_of(to.data, to.columns, to.rows, to.across, 1)});
    for (Py_ssize_t column = 0; column < to.columns; column++)
        DISJOINT
        for (Py_ssize_t row = 0; row < to.rows; row++)
            to.data[row + column * to.across] *= factors[row];
}

void scale_plain(const Array *arrays) { scale(arrays, transpose_plain); }
#ifdef X86
AVX2 void scale_avx2(const Array *arrays) { scale(arrays, transpose_avx2); }
AVX512 void scale_avx512(const Array *arrays) { scale(arrays, transpose_avx2); }
#endif
