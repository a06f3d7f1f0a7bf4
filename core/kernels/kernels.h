/* What the kernels share.

   A kernel is bound once to its arrays, each (rows, columns) of float32, or of whole numbers where they are indices, or
   (columns,), which is one row. It is then called without arguments; see module.c. `recurrio.core.base.product` and
   `columns`, `lstm_numpy`, `elementwise`, `optimizers` and `forecaster` have the same in NumPy. */

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

typedef struct {
    float *data; /* of indices: whatever they are, see `index_at` */
    Py_ssize_t rows, columns, stride, across; /* from row to row and from column to column, in elements */
    Py_ssize_t item; /* the bytes of an element; of an index 4 or 8 */
} Array;

typedef void Kernel(const Array *);
typedef int Fits(const Array *); /* whether a kernel can be bound to the arrays */

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#define X86 1
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512vl,fma")))
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));
typedef float Sixteen __attribute__((vector_size(64), aligned(4), may_alias));
#endif
#define INLINE static inline __attribute__((always_inline))

#ifdef __clang__ /* the arrays of a loop do not overlap */
#define DISJOINT _Pragma("clang loop vectorize(assume_safety)")
#else
#define DISJOINT _Pragma("GCC ivdep")
#endif

INLINE int has_rows(const Array a) { return a.columns <= 1 || a.across == 1; } /* each in one piece */

INLINE int is_dense(const Array a) { return has_rows(a) && (a.rows <= 1 || a.stride == a.columns); }

INLINE int has_shape(const Array a, Py_ssize_t rows, Py_ssize_t columns) {
    return a.rows == rows && a.columns == columns;
}

/* Of indices (1, N), one. */
INLINE int64_t index_at(const Array a, Py_ssize_t n) {
    const void *data = a.data;
    return a.item == 4 ? ((const int32_t *)data)[n * a.across] : ((const int64_t *)data)[n * a.across];
}

/* Of float32. */
INLINE Array array_of(float *data, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t stride, Py_ssize_t across) {
    return (Array){data, rows, columns, stride, across, sizeof(float)};
}

#pragma GCC visibility push(hidden)
extern Fits adam_fits, forecast_fits, gather_fits, huber_fits, lstm_backward_fits, lstm_forward_fits, product_fits;
extern Fits scale_fits, scatter_fits, squared_fits, transpose_fits;

/* Each kernel that there is for all instructions, with its name and those of `Entry` in module.c. */
#define KERNELS(level)                                                                                                 \
    KERNEL(adam, "rrrrwwww", 8, 1, level)                                                                              \
    KERNEL(forecast, "rwirrwww", 0, 0, level)                                                                          \
    KERNEL(gather, "wriw", 1, 0, level)                                                                                \
    KERNEL(huber, "wrwr", 4, 0, level)                                                                                 \
    KERNEL(lstm_backward, "rrrrwwww", 8, 0, level)                                                                     \
    KERNEL(lstm_forward, "wrwwww", 8, 0, level)                                                                        \
    KERNEL(scale, "rrw", 1, 0, level)                                                                                  \
    KERNEL(scatter, "riww", 1, 0, level)                                                                               \
    KERNEL(squared, "wrw", 2, 0, level)

#define KERNEL(name, access, work, in_place, level) extern Kernel name##_##level;
KERNELS(plain)
extern Kernel transpose_plain;
#ifdef X86
KERNELS(avx2)
KERNELS(avx512)
extern Kernel product_avx2, transpose_avx2, product_avx512;
#endif
#undef KERNEL
#pragma GCC visibility pop
