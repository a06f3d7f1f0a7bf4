/* The inner loops of a recurrence in machine code: the product of a weight matrix with few columns, and what an LSTM
   computes element by element. `recurrio.core.product` and `recurrio.core.lstm` hold the equations, and the same in
   NumPy.

   A kernel is bound once to its arrays, each (rows, columns) of float32, and is then called without arguments. Each
   element of a product is a sum in one order: a chain of fused multiply-adds for every DEPTH columns of the weights, and
   the chains added up. So it has the same bits however many columns stand beside it, with AVX2 and with AVX-512. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    float *data;
    Py_ssize_t rows, columns, stride, across; /* from row to row and from column to column, in elements */
} Array;

typedef void Kernel(const Array *);

#if defined(__GNUC__) && defined(__x86_64__)
#define X86 1
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512vl,fma")))
#endif
#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__ /* the arrays of a loop do not overlap */
#define DISJOINT _Pragma("clang loop vectorize(assume_safety)")
#else
#define DISJOINT _Pragma("GCC ivdep")
#endif

/* ---- out (M, N) = weights (M, K) · x (K, N) ----

   The sums of a block, ROWS rows of the weights by one or two vectors of columns of x, stay in registers over DEPTH of
   K. The rows of x and of out are in one piece; those of the weights need not be. */

#define ROWS 8
#define DEPTH 512
#define CHUNK 128 /* of more columns, so many are copied to one place, where they fit in the cache, and meet all rows */

/* Compute out[row…][column…], or with `add` add to it. */
typedef void Block(const Array weights, const Array x, const Array out, Py_ssize_t row, Py_ssize_t column, int add);

typedef struct {
    Py_ssize_t columns;
    Block *rows, *row;
} Width;

#ifdef X86

typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float Sixteen __attribute__((vector_size(64), aligned(4), may_alias));

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

static void product_avx2(const Array *arrays) { product(arrays, avx2); }
static void product_avx512(const Array *arrays) { product(arrays, avx512); }

#endif

/* ---- to (N, M) = from (M, N) ---- */

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

/* By squares, so that their rows and columns both stay in the cache. */
INLINE void transpose_rows(const Array from, const Array to, int avx2) {
    for (Py_ssize_t i = 0; i < from.rows; i += 8)
        for (Py_ssize_t j = 0; j < from.columns; j += 8) {
#ifdef X86
            if (avx2 && i + 8 <= from.rows && j + 8 <= from.columns) {
                transpose_square(from.data + i * from.stride + j, from.stride, to.data + j * to.stride + i, to.stride);
                continue;
            }
#endif
            for (Py_ssize_t column = j; column < j + 8 && column < from.columns; column++)
                for (Py_ssize_t row = i; row < i + 8 && row < from.rows; row++)
                    to.data[column * to.stride + row] = from.data[row * from.stride + column];
        }
}

static void transpose_plain(const Array *arrays) { transpose_rows(arrays[0], arrays[1], 0); }
#ifdef X86
static void transpose_avx2(const Array *arrays) { transpose_rows(arrays[0], arrays[1], 1); }
#endif

/* ---- the LSTM, element by element ---- */

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
    float t = x * p / q; /* one choice a line: so compilers turn them into vectors */
    t = t > 1 ? 1 : t;
    t = t < -1 ? -1 : t;
    t = x > 9 ? 1 : t;
    return x < -9 ? -1 : t;
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
INLINE void lstm_backward(const Array *arrays, int avx2) {
    const Array d_output = arrays[3], hidden = arrays[4], z = arrays[6];
    const Py_ssize_t n = hidden.rows * hidden.columns;
    const float *o = arrays[0].data, *i = o + n, *f = i + n, *g = f + n;
    const float *cell = arrays[1].data, *cell_tanh = arrays[2].data;
    float *d_hidden = hidden.data, *d_cell = arrays[5].data;
    float *d_o = z.data, *d_i = d_o + n, *d_f = d_i + n, *d_g = d_f + n;
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
    transpose_rows(z, arrays[7], avx2);
}

static void lstm_forward_plain(const Array *arrays) { lstm_forward(arrays); }
static void lstm_backward_plain(const Array *arrays) { lstm_backward(arrays, 0); }
#ifdef X86
AVX2 static void lstm_forward_avx2(const Array *arrays) { lstm_forward(arrays); }
AVX2 static void lstm_backward_avx2(const Array *arrays) { lstm_backward(arrays, 1); }
AVX512 static void lstm_forward_avx512(const Array *arrays) { lstm_forward(arrays); }
AVX512 static void lstm_backward_avx512(const Array *arrays) { lstm_backward(arrays, 1); }
#endif

/* ---- a step of Adam ----

   parameters, gradient, mean, square and out are (1, size), the constants of the step (1, 7); out can be the same array
   as parameters. */

INLINE void adam(const Array *arrays) {
    const float *parameters = arrays[0].data, *gradient = arrays[1].data, *constants = arrays[5].data;
    float *mean = arrays[2].data, *square = arrays[3].data, *out = arrays[4].data;
    const float beta_1 = constants[0], rest_1 = constants[1], beta_2 = constants[2], rest_2 = constants[3];
    const float scale = constants[4], eps = constants[5], rate = constants[6];
    DISJOINT
    for (Py_ssize_t k = 0; k < arrays[0].columns; k++) {
        float g = gradient[k], m = mean[k] * beta_1 + g * rest_1, v = square[k] * beta_2 + g * g * rest_2;
        mean[k] = m;
        square[k] = v;
        out[k] = parameters[k] - rate * m / (sqrtf(v) * scale + eps);
    }
}

static void adam_plain(const Array *arrays) { adam(arrays); }
#ifdef X86
AVX2 static void adam_avx2(const Array *arrays) { adam(arrays); }
AVX512 static void adam_avx512(const Array *arrays) { adam(arrays); }
#endif

/* ---- which arrays fit a kernel ---- */

static int has_rows(const Array a) { return a.columns <= 1 || a.across == 1; }

static int is_dense(const Array a) { return has_rows(a) && (a.rows <= 1 || a.stride == a.columns); }

static int has_shape(const Array a, Py_ssize_t rows, Py_ssize_t columns) {
    return a.rows == rows && a.columns == columns;
}

static int product_fits(const Array *a) {
    return has_shape(a[0], a[2].rows, a[1].rows) && a[1].columns == a[2].columns && a[1].rows > 0 &&
           has_rows(a[1]) && has_rows(a[2]);
}

static int transpose_fits(const Array *a) {
    return has_shape(a[1], a[0].columns, a[0].rows) && has_rows(a[0]) && has_rows(a[1]);
}

static int is_state(const Array a, Py_ssize_t U, Py_ssize_t B) { return has_shape(a, U, B) && is_dense(a); }

static int lstm_forward_fits(const Array *a) {
    const Py_ssize_t U = a[1].rows, B = a[1].columns;
    return is_state(a[0], 4 * U, B) && is_state(a[1], U, B) && is_state(a[2], U, B) && is_state(a[3], U, B) &&
           is_state(a[4], U, B) && has_shape(a[5], U, B) && has_rows(a[5]);
}

static int lstm_backward_fits(const Array *a) {
    const Py_ssize_t U = a[1].rows, B = a[1].columns;
    return is_state(a[0], 4 * U, B) && is_state(a[1], U, B) && is_state(a[2], U, B) && has_shape(a[3], U, B) &&
           has_rows(a[3]) && is_state(a[4], U, B) && is_state(a[5], U, B) && is_state(a[6], 4 * U, B) &&
           has_shape(a[7], B, 4 * U) && has_rows(a[7]);
}

static int adam_fits(const Array *a) {
    int fit = has_shape(a[5], 1, 7) && has_rows(a[5]);
    for (int k = 0; k < 5; k++)
        fit = fit && is_state(a[k], 1, a[0].columns);
    return fit;
}

/* ---- binding ---- */

#define LONG (1 << 16) /* operations; from there on a call lets other threads run */

typedef struct {
    const char *name, *access; /* for each array: r, it is read, or w, it is written */
    int work; /* operations for each element of the first array; 0, if as many as the second has columns */
    int (*fits)(const Array *);
    Kernel *kernel;
} Entry;

#define COMMON(level) {"lstm_forward", "wrwwww", 8, lstm_forward_fits, lstm_forward_##level},                          \
                      {"lstm_backward", "rrrrwwww", 8, lstm_backward_fits, lstm_backward_##level},                     \
                      {"adam", "rrwwwr", 8, adam_fits, adam_##level}

static const Entry plain[] = {{"transpose", "rw", 1, transpose_fits, transpose_plain}, COMMON(plain), {0}};
#ifdef X86
static const Entry with_avx2[] = {
    {"product", "rrw", 0, product_fits, product_avx2}, {"transpose", "rw", 1, transpose_fits, transpose_avx2}, COMMON(avx2), {0}};
static const Entry with_avx512[] = {
    {"product", "rrw", 0, product_fits, product_avx512}, {"transpose", "rw", 1, transpose_fits, transpose_avx2}, COMMON(avx512), {0}};
#endif

static const Entry *entries = plain; /* that `bind` takes */

/* Behind it are its arrays, and then the buffers that hold their memory. */
typedef struct {
    PyObject_VAR_HEAD
    Kernel *kernel;
    int is_long;
} Bound;

static Array *arrays_of(PyObject *bound) { return (Array *)((Bound *)bound + 1); }
static Py_buffer *buffers_of(PyObject *bound) { return (Py_buffer *)(arrays_of(bound) + Py_SIZE(bound)); }

static PyTypeObject *bound_type;

static PyObject *bound_call(PyObject *self, PyObject *args, PyObject *keywords) {
    Bound *bound = (Bound *)self;
    if (PyTuple_GET_SIZE(args) || keywords) {
        PyErr_SetString(PyExc_TypeError, "a bound kernel takes no arguments");
        return NULL;
    }
    if (bound->is_long) {
        Py_BEGIN_ALLOW_THREADS
        bound->kernel(arrays_of(self));
        Py_END_ALLOW_THREADS
    } else {
        bound->kernel(arrays_of(self));
    }
    Py_RETURN_NONE;
}

static void bound_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t k = 0; k < Py_SIZE(self); k++)
        PyBuffer_Release(&buffers_of(self)[k]);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Take the memory of `object` into `array`; 0, or -1 with an exception. */
static int open_array(PyObject *object, int flags, Py_buffer *buffer, Array *array) {
    const Py_ssize_t item = sizeof(float);
    if (PyObject_GetBuffer(object, buffer, flags) < 0)
        return -1;
    if (buffer->ndim != 2 || !buffer->format || strcmp(buffer->format, "f") || !buffer->strides || buffer->strides[0] % item || buffer->strides[1] % item ||
        (uintptr_t)buffer->buf % item) {
        PyErr_SetString(PyExc_ValueError, "expected arrays (rows, columns) of float32");
        return -1;
    }
    *array = (Array){buffer->buf, buffer->shape[0], buffer->shape[1], buffer->strides[0] / item,
                     buffer->strides[1] / item};
    return 0;
}

static PyObject *bind(PyObject *module, PyObject *args) {
    (void)module;
    Py_ssize_t given = PyTuple_GET_SIZE(args) - 1;
    const char *name = given < 0 ? NULL : PyUnicode_AsUTF8(PyTuple_GET_ITEM(args, 0));
    if (!name)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "expected a name and arrays");
    const Entry *entry = entries;
    while (entry->name && strcmp(entry->name, name))
        entry++;
    if (!entry->name)
        return PyErr_Format(PyExc_LookupError, "no kernel %s here", name);
    if (given != (Py_ssize_t)strlen(entry->access))
        return PyErr_Format(PyExc_TypeError, "%s: expected %zu arrays, got %zd", name, strlen(entry->access), given);
    PyObject *bound = bound_type->tp_alloc(bound_type, given);
    if (!bound)
        return NULL;
    Array *arrays = arrays_of(bound);
    for (Py_ssize_t k = 0; k < given; k++) {
        int flags = entry->access[k] == 'w' ? PyBUF_RECORDS : PyBUF_RECORDS_RO;
        if (open_array(PyTuple_GET_ITEM(args, k + 1), flags, &buffers_of(bound)[k], &arrays[k]) < 0) {
            Py_DECREF(bound);
            return NULL;
        }
    }
    if (!entry->fits(arrays)) {
        Py_DECREF(bound);
        return PyErr_Format(PyExc_ValueError, "%s: the shapes of the arrays do not fit", name);
    }
    double work = entry->work ? entry->work : arrays[1].columns;
    ((Bound *)bound)->kernel = entry->kernel;
    ((Bound *)bound)->is_long = work * arrays[0].rows * arrays[0].columns >= LONG;
    return bound;
}

/* The instructions that there are kernels for and that this processor has, the best last. */
static struct {
    const char *name;
    const Entry *entries;
} levels[] = {{"plain", plain}, {NULL}, {NULL}};
static Py_ssize_t level_count = 1;

static void find_levels(void) {
#ifdef X86
    __builtin_cpu_init();
    if (level_count > 1 || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return;
    levels[level_count].name = "AVX2";
    levels[level_count++].entries = with_avx2;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512vl"))
        return;
    levels[level_count].name = "AVX-512";
    levels[level_count++].entries = with_avx512;
#endif
}

static int add_name(PyObject *names, const char *name) {
    PyObject *one = PyUnicode_FromString(name);
    int error = one ? PyList_Append(names, one) : -1;
    Py_XDECREF(one);
    return error;
}

static PyObject *use(PyObject *module, PyObject *name) {
    (void)module;
    const char *wanted = PyUnicode_AsUTF8(name);
    if (!wanted)
        return NULL;
    for (Py_ssize_t k = 0; k < level_count; k++)
        if (!strcmp(levels[k].name, wanted)) {
            entries = levels[k].entries;
            PyObject *names = PyList_New(0);
            for (const Entry *entry = entries; names && entry->name; entry++)
                if (add_name(names, entry->name) < 0)
                    Py_CLEAR(names);
            return names;
        }
    return PyErr_Format(PyExc_LookupError, "no instructions %s here", wanted);
}

static PyMethodDef methods[] = {
    {"bind", bind, METH_VARARGS, "bind(kernel, *arrays): a callable that runs the kernel on the arrays."},
    {"use", use, METH_O, "use(instructions): from now on bind kernels made of these; a list of the kernels."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_doc = "The inner loops in machine code.", .m_size = -1,
    .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) {
    PyType_Slot slots[] = {{Py_tp_call, bound_call}, {Py_tp_dealloc, bound_dealloc}, {0, NULL}};
    PyType_Spec spec = {"recurrio.core._kernels.Bound", sizeof(Bound), sizeof(Array) + sizeof(Py_buffer),
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
    find_levels();
    PyObject *module = PyModule_Create(&definition), *names = NULL;
    if (!module || !(bound_type = (PyTypeObject *)PyType_FromSpec(&spec)) || !(names = PyList_New(0)))
        goto failed;
    for (Py_ssize_t k = 0; k < level_count; k++)
        if (add_name(names, levels[k].name) < 0)
            goto failed;
    if (PyModule_AddObjectRef(module, "INSTRUCTIONS", names) < 0)
        goto failed;
    Py_DECREF(names);
    return module;
failed:
    Py_XDECREF(names);
    Py_CLEAR(bound_type);
    Py_XDECREF(module);
    return NULL;
}
