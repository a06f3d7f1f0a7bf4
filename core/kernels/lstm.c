/* What an LSTM computes between two products, element by element. */

#include "kernels.h"

#include <math.h>

static int is_dense_of(const Array a, Py_ssize_t U, Py_ssize_t B) { return has_shape(a, U, B) && is_dense(a); }

int lstm_forward_fits(const Array *a) {
    const Py_ssize_t U = a[1].rows, B = a[1].columns;
    return is_dense_of(a[0], 4 * U, B) && is_dense_of(a[1], U, B) && is_dense_of(a[2], U, B) &&
           is_dense_of(a[3], U, B) && is_dense_of(a[4], U, B) && has_shape(a[5], U, B) && has_rows(a[5]);
}

int lstm_backward_fits(const Array *a) {
    const Py_ssize_t U = a[1].rows, B = a[1].columns;
    return is_dense_of(a[0], 4 * U, B) && is_dense_of(a[1], U, B) && is_dense_of(a[2], U, B) && has_shape(a[3], U, B) &&
           has_rows(a[3]) && is_dense_of(a[4], U, B) && is_dense_of(a[5], U, B) && is_dense_of(a[6], 4 * U, B) &&
           has_shape(a[7], B, 4 * U) && has_rows(a[7]);
}

/* tanh to 4e-7 of its value: x·P(x²) / Q(x²), fitted for the least relative error up to 9, and from there on 1. */
INLINE float tanh_of(float x) {
    float s = x * x;
    float p = 1.3354083774793577e-08f;
    p = p * s + 2.0608713712231232e-05f;
    p = p * s + 3.4955684402380102e-03f;
    p = p * s + 1.3381010198149498e-01f;
    p = p * s + 9.9999997962490600e-01f;
    float q = 7.7763351874025140e-07f;
    q = q * s + 3.2856005754001365e-04f;
    q = q * s + 2.5876910685735856e-02f;
    q = q * s + 4.6714325862606540e-01f;
    q = q * s + 1;
    float t = x * p / q, one = copysignf(1, x);
    t = fabsf(t) > 1 ? one : t; /* one choice a line: so compilers turn them into vectors */
    return fabsf(x) > 9 ? one : t;
}

/* σ(−x), for the gates whose weights carry the minus */
INLINE float sigmoid_of_minus(float x) { return 0.5f - 0.5f * tanh_of(0.5f * x); }

INLINE void copy_rows(const Array from, const Array to) {
    for (Py_ssize_t row = 0; row < to.rows; row++)
        for (Py_ssize_t column = 0; column < to.columns; column++)
            to.data[row * to.stride + column] = from.data[row * from.stride + column];
}

/* All but output are in one piece.

   gates (4U, B) goes from −o, −i, −f, g before the activations to o, i, f, g; cell is c; next_cell, cell_tanh and
   hidden (U, B) take c', tanh(c') and h', and output a copy of h'. */
INLINE void lstm_forward(const Array *arrays) {
    const Array hidden = arrays[4], output = arrays[5];
    const Py_ssize_t n = hidden.rows * hidden.columns;
    float *o = arrays[0].data, *i = o + n, *f = i + n, *g = f + n;
    const float *cell = arrays[1].data;
    float *next_cell = arrays[2].data, *cell_tanh = arrays[3].data, *h = hidden.data;
    DISJOINT
    for (Py_ssize_t k = 0; k < n; k++) {
        float o_k = sigmoid_of_minus(o[k]), i_k = sigmoid_of_minus(i[k]), f_k = sigmoid_of_minus(f[k]);
        float g_k = tanh_of(g[k]), c_k = i_k * g_k + f_k * cell[k], t_k = tanh_of(c_k);
        o[k] = o_k;
        i[k] = i_k;
        f[k] = f_k;
        g[k] = g_k;
        next_cell[k] = c_k;
        cell_tanh[k] = t_k;
        h[k] = o_k * t_k;
    }
    copy_rows(hidden, output);
}

/* All but d_output and d_gates are in one piece.

   gates, cell and cell_tanh are those of the forward pass. d_output (U, B) is added to d_hidden; d_cell goes from c' to
   c; d_z (4U, B) and d_gates (B, 4U) take the gradient before the activations. */
INLINE void lstm_backward(const Array *arrays, Kernel *transpose) {
    const Array d_output = arrays[3], hidden = arrays[4];
    const Py_ssize_t n = hidden.rows * hidden.columns;
    const float *o = arrays[0].data, *i = o + n, *f = i + n, *g = f + n;
    const float *cell = arrays[1].data, *cell_tanh = arrays[2].data;
    float *d_hidden = hidden.data, *d_cell = arrays[5].data;
    float *d_o = arrays[6].data, *d_i = d_o + n, *d_f = d_i + n, *d_g = d_f + n;
    for (Py_ssize_t row = 0; row < hidden.rows; row++)
        for (Py_ssize_t column = 0; column < hidden.columns; column++)
            d_hidden[row * hidden.columns + column] += d_output.data[row * d_output.stride + column];
    DISJOINT
    for (Py_ssize_t k = 0; k < n; k++) {
        float d_next = d_cell[k] + d_hidden[k] * o[k] * (1 - cell_tanh[k] * cell_tanh[k]);
        d_o[k] = d_hidden[k] * cell_tanh[k] * o[k] * (1 - o[k]);
        d_i[k] = d_next * g[k] * i[k] * (1 - i[k]);
        d_f[k] = d_next * cell[k] * f[k] * (1 - f[k]);
        d_g[k] = d_next * i[k] * (1 - g[k] * g[k]);
        d_cell[k] = d_next * f[k];
    }
    transpose(arrays + 6); /* d_z to d_gates */
}

void lstm_forward_plain(const Array *arrays) { lstm_forward(arrays); }
void lstm_backward_plain(const Array *arrays) { lstm_backward(arrays, transpose_plain); }
#ifdef X86
AVX2 void lstm_forward_avx2(const Array *arrays) { lstm_forward(arrays); }
AVX2 void lstm_backward_avx2(const Array *arrays) { lstm_backward(arrays, transpose_avx2); }
AVX512 void lstm_forward_avx512(const Array *arrays) { lstm_forward(arrays); }
AVX512 void lstm_backward_avx512(const Array *arrays) { lstm_backward(arrays, transpose_avx2); }
#endif
