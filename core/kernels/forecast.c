/* One step of an LSTM and of a linear layer for record after record, each from the state of its row of a table. */

#include "kernels.h"

/* The units of an LSTM whose h and c are side by side in the table. */
INLINE Py_ssize_t units_of(const Array table) { return table.columns / 2; }

#define AHEAD 4      /* records; their rows are fetched while others are computed */
#define TOGETHER 16 /* records, whose outputs are one product */

int forecast_fits(const Array *a) {
    const Py_ssize_t n = a[0].rows, U = units_of(a[5]), K = a[1].rows, O = a[6].columns;
    const Py_ssize_t ones = K - a[0].columns - U;
    return U > 0 && a[5].columns == 2 * U && has_rows(a[5]) && (ones == 0 || ones == 2) && a[1].columns == 4 * U &&
           is_dense(a[1]) && has_shape(a[2], 1, n) && has_shape(a[3], 4 * U, K) && has_rows(a[3]) &&
           has_shape(a[4], O, 1 + U) && a[6].rows == n && has_rows(a[7]) &&
           has_shape(a[7], 1, K + 8 * U + TOGETHER * (1 + U + O) + 1);
}

INLINE float *state_at(const Array table, int64_t index) {
    return table.data + (index < 0 ? ~index : index) * table.stride;
}

/* inputs (n, I), and for each record an index of a row, or ~index where it begins from zeros; matrix (4U, K) and head
   (O, 1+U) are the parameters, table (rows, 2U) is h and c, and outputs (n, O) takes what the head makes of h'.

   packed (K, 4U) is for the matrix in another order, with −o, −i, −f; scratch (1, K + 8U + 16(1+U+O) + 1) for what is
   needed of some records. Its last element becomes 1 where an index is none of the table, and nothing else is written
   then; else 0. */
INLINE void forecast(const Array *arrays, Kernel *product, Kernel *lstm_forward, Kernel *transpose) {
    const Array inputs = arrays[0], packed = arrays[1], indices = arrays[2], head = arrays[4], table = arrays[5];
    const Array outputs = arrays[6];
    const Py_ssize_t U = units_of(table), K = packed.rows, ones = K - inputs.columns - U, O = outputs.columns;
    float *x = arrays[7].data, *carried = x + K - U, *z = x + K, *cell = z + 4 * U, *next_cell = cell + U;
    float *cell_tanh = next_cell + U, *hidden = cell_tanh + U, *one_and_hidden = hidden + U;
    float *made = one_and_hidden + TOGETHER * (1 + U), *wrong = made + TOGETHER * O;
    *wrong = 0;
    for (Py_ssize_t n = 0; n < inputs.rows; n++) {
        const int64_t index = index_at(indices, n);
        if ((index < 0 ? ~index : index) >= table.rows)
            *wrong = 1;
    }
    if (*wrong)
        return;
    transpose((Array[]){arrays[3], packed});
    for (Py_ssize_t k = 0; k < K; k++)
        for (Py_ssize_t u = 0; u < 3 * U; u++)
            packed.data[k * 4 * U + u] = -packed.data[k * 4 * U + u];
    for (Py_ssize_t k = 0; k < ones; k++)
        x[inputs.columns + k] = 1;
    for (Py_ssize_t k = 0; k < TOGETHER; k++)
        one_and_hidden[k] = 1;
    const Array weights = array_of(packed.data, 4 * U, K, 1, 4 * U), gates = array_of(z, 4 * U, 1, 1, 1);
    const Array step[] = {weights, array_of(x, K, 1, 1, 1), gates};
    Array elements[] = {gates,
                        array_of(cell, U, 1, 1, 1),
                        array_of(next_cell, U, 1, 1, 1),
                        array_of(cell_tanh, U, 1, 1, 1),
                        array_of(hidden, U, 1, 1, 1),
                        array_of(NULL, U, 1, TOGETHER, 1)};
    for (Py_ssize_t n = 0; n < inputs.rows; n++) {
        const int64_t index = index_at(indices, n);
        float *state = state_at(table, index);
        if (n + AHEAD < inputs.rows)
            for (Py_ssize_t u = 0; u < 2 * U; u += 16)
                __builtin_prefetch(state_at(table, index_at(indices, n + AHEAD)) + u, 1);
        for (Py_ssize_t k = 0; k < inputs.columns; k++)
            x[k] = inputs.data[n * inputs.stride + k * inputs.across];
        for (Py_ssize_t u = 0; u < U; u++) {
            carried[u] = index < 0 ? 0 : state[u];
            cell[u] = index < 0 ? 0 : state[U + u];
        }
        product(step);
        elements[5].data = one_and_hidden + TOGETHER + n % TOGETHER;
        lstm_forward(elements);
        for (Py_ssize_t u = 0; u < U; u++) {
            state[u] = hidden[u];
            state[U + u] = next_cell[u];
        }
        if ((n + 1) % TOGETHER && n + 1 < inputs.rows)
            continue;
        const Py_ssize_t first = n - n % TOGETHER, count = n + 1 - first;
        product((Array[]){head, array_of(one_and_hidden, 1 + U, count, TOGETHER, 1),
                          array_of(made, O, count, TOGETHER, 1)});
        for (Py_ssize_t k = 0; k < count; k++)
            for (Py_ssize_t o = 0; o < O; o++)
                outputs.data[(first + k) * outputs.stride + o * outputs.across] = made[o * TOGETHER + k];
    }
}

/* out (M, N) = weights (M, K) · x (K, N) */
static void product_plain(const Array *arrays) {
    const Array weights = arrays[0], x = arrays[1], out = arrays[2];
    for (Py_ssize_t n = 0; n < out.columns; n++) {
        for (Py_ssize_t row = 0; row < out.rows; row++)
            out.data[row * out.stride + n] = 0;
        for (Py_ssize_t k = 0; k < x.rows; k++)
            DISJOINT
            for (Py_ssize_t row = 0; row < out.rows; row++)
                out.data[row * out.stride + n] +=
                    weights.data[row * weights.stride + k * weights.across] * x.data[k * x.stride + n];
    }
}

void forecast_plain(const Array *arrays) { forecast(arrays, product_plain, lstm_forward_plain, transpose_plain); }
#ifdef X86
AVX2 void forecast_avx2(const Array *arrays) { forecast(arrays, product_avx2, lstm_forward_avx2, transpose_avx2); }
AVX512 void forecast_avx512(const Array *arrays) {
    forecast(arrays, product_avx512, lstm_forward_avx512, transpose_avx2);
}
#endif
