/* A step of Adam.

   parameters, gradient, mean and square, the next mean and square, and out are (1, size), and the constants of the step
   (1, 8); out can be the same array as parameters. The last of the constants becomes 0 where all of out and of the next
   mean and square are finite, else 1: another pass over them would take as long as this one. */

#include "kernels.h"

#include <float.h>
#include <math.h>

int adam_fits(const Array *a) {
    int fit = has_shape(a[7], 1, 8) && has_rows(a[7]);
    for (int k = 0; k < 7; k++)
        fit = fit && has_shape(a[k], 1, a[0].columns) && is_dense(a[k]);
    return fit;
}

INLINE void adam(const Array *arrays) {
    const float *parameters = arrays[0].data, *gradient = arrays[1].data;
    const float *mean = arrays[2].data, *square = arrays[3].data;
    float *next_mean = arrays[4].data, *next_square = arrays[5].data, *out = arrays[6].data;
    float *constants = arrays[7].data;
    const float beta_1 = constants[0], rest_1 = constants[1], beta_2 = constants[2], rest_2 = constants[3];
    const float scale = constants[4], eps = constants[5], rate = constants[6];
    int wrong = 0;
    DISJOINT
    for (Py_ssize_t k = 0; k < arrays[0].columns; k++) {
        float g = gradient[k], m = mean[k] * beta_1 + g * rest_1, v = square[k] * beta_2 + g * g * rest_2;
        next_mean[k] = m;
        next_square[k] = v;
        float p = parameters[k] - rate * m / (sqrtf(v) * scale + eps);
        out[k] = p;
        wrong |= !(fabsf(p) <= FLT_MAX) | !(fabsf(m) <= FLT_MAX) | !(v <= FLT_MAX);
    }
    constants[7] = (float)wrong;
}

void adam_plain(const Array *arrays) { adam(arrays); }
#ifdef X86
AVX2 void adam_avx2(const Array *arrays) { adam(arrays); }
AVX512 void adam_avx512(const Array *arrays) { adam(arrays); }
#endif
