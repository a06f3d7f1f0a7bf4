/* What the kernels share.

   A kernel is bound once to its arrays, each (rows, columns) of float32, and is then called without arguments; see
   module.c. `recurrio.core.base.product`, `columns`, `lstm_numpy` and `optimizers` have the same in NumPy. */

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    float *data;
    Py_ssize_t rows, columns, stride, across; /* from row to row and from column to column, in elements */
} Array;

typedef void Kernel(const Array *);
typedef int Fits(const Array *); /* whether a kernel can be bound to the arrays */

#if defined(__GNUC__) && defined(__x86_64__)
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

#pragma GCC visibility push(hidden)
extern Fits product_fits, transpose_fits, lstm_forward_fits, lstm_backward_fits, adam_fits;
extern Kernel transpose_plain, lstm_forward_plain, lstm_backward_plain, adam_plain;
#ifdef X86
extern Kernel product_avx2, transpose_avx2, lstm_forward_avx2, lstm_backward_avx2, adam_avx2;
extern Kernel product_avx512, lstm_forward_avx512, lstm_backward_avx512, adam_avx512;
#endif
#pragma GCC visibility pop
