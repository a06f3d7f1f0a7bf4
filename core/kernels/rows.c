/* Rows of a table to columns, and back. */

#include "kernels.h"

#include <string.h>

static int rows_fit(const Array table, const Array indices, const Array rows, const Array columns) {
    const Py_ssize_t U = table.columns, n = rows.rows;
    return table.rows > 0 && has_rows(table) && has_shape(indices, 1, n) && rows.columns == U && has_rows(rows) &&
           has_shape(columns, U, n) && has_rows(columns);
}

int gather_fits(const Array *a) { return rows_fit(a[1], a[2], a[0], a[3]); }

int scatter_fits(const Array *a) { return rows_fit(a[3], a[1], a[2], a[0]); }

/* The row of an index, or of ~index; the last one, if there are fewer. */
static float *row_of(const Array table, int64_t index) {
    const int64_t row = index < 0 ? ~index : index;
    return table.data + Py_MIN(row, table.rows - 1) * table.stride;
}

/* rows (n, U) takes the rows of table (rows, U), and columns (U, n) the same in the other order, with zeros where an
   index is ~index. */
static void gather(const Array *arrays, Kernel *transpose) {
    const Array rows = arrays[0], indices = arrays[2], columns = arrays[3];
    for (Py_ssize_t n = 0; n < rows.rows; n++)
        memcpy(rows.data + n * rows.stride, row_of(arrays[1], index_at(indices, n)), rows.columns * sizeof(float));
    transpose((Array[]){rows, columns});
    for (Py_ssize_t n = 0; n < rows.rows; n++)
        for (Py_ssize_t u = 0; index_at(indices, n) < 0 && u < columns.rows; u++)
            columns.data[u * columns.stride + n] = 0;
}

/* columns (U, n) to the rows of table (rows, U), by way of rows (n, U); of an index that is there twice, the last. */
static void scatter(const Array *arrays, Kernel *transpose) {
    const Array indices = arrays[1], rows = arrays[2];
    transpose((Array[]){arrays[0], rows});
    for (Py_ssize_t n = 0; n < rows.rows; n++)
        memcpy(row_of(arrays[3], index_at(indices, n)), rows.data + n * rows.stride, rows.columns * sizeof(float));
}

void gather_plain(const Array *arrays) { gather(arrays, transpose_plain); }
void scatter_plain(const Array *arrays) { scatter(arrays, transpose_plain); }
#ifdef X86
void gather_avx2(const Array *arrays) { gather(arrays, transpose_avx2); }
void scatter_avx2(const Array *arrays) { scatter(arrays, transpose_avx2); }
void gather_avx512(const Array *arrays) { gather(arrays, transpose_avx2); }
void scatter_avx512(const Array *arrays) { scatter(arrays, transpose_avx2); }
#endif
