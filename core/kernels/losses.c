/* The losses of differences, and their derivatives, element by element, as `recurrio.core.losses.elementwise` has them.

   outputs (F, N) becomes the derivative of each element's loss, and losses (F, N) takes the losses; both are in one
   piece. targets are (F, N). */

#include "kernels.h"

int squared_fits(const Array *a) {
    return is_dense(a[0]) && has_shape(a[1], a[0].rows, a[0].columns) && has_shape(a[2], a[0].rows, a[0].columns) &&
           is_dense(a[2]);
}

int huber_fits(const Array *a) { return squared_fits(a) && has_shape(a[3], 1, 1); }

INLINE void differences(const Array *arrays) {
    const Array outputs = arrays[0], targets = arrays[1];
    for (Py_ssize_t row = 0; row < outputs.rows; row++)
        for (Py_ssize_t column = 0; column < outputs.columns; column++)
            outputs.data[row * outputs.columns + column] -=
                targets.data[row * targets.stride + column * targets.across];
}

INLINE void squared(const Array *arrays) {
    float *outputs = arrays[0].data, *losses = arrays[2].data;
    differences(arrays);
    DISJOINT
    for (Py_ssize_t k = 0; k < arrays[0].rows * arrays[0].columns; k++) {
        losses[k] = outputs[k] * outputs[k];
        outputs[k] = outputs[k] * 2;
    }
}

/* delta is (1, 1). */
INLINE void huber(const Array *arrays) {
    float *outputs = arrays[0].data, *losses = arrays[2].data;
    const float delta = *arrays[3].data;
    differences(arrays);
    DISJOINT
    for (Py_ssize_t k = 0; k < arrays[0].rows * arrays[0].columns; k++) {
        float difference = outputs[k], clipped = difference < -delta ? -delta : difference;
        clipped = clipped > delta ? delta : clipped;
        losses[k] = (2 * difference - clipped) * clipped * 0.5f; /* twice is exact, so fused or not, the bits are one */
        outputs[k] = clipped;
    }
}

void squared_plain(const Array *arrays) { squared(arrays); }
void huber_plain(const Array *arrays) { huber(arrays); }
#ifdef X86
AVX2 void squared_avx2(const Array *arrays) { squared(arrays); }
AVX2 void huber_avx2(const Array *arrays) { huber(arrays); }
AVX512 void squared_avx512(const Array *arrays) { squared(arrays); }
AVX512 void huber_avx512(const Array *arrays) { huber(arrays); }
#endif
