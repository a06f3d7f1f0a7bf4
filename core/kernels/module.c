/* The module `recurrio.core._kernels`: kernels bound to arrays.

   `bind` looks a kernel up by its name, among those for the instructions that are in use, and checks the arrays. The
   call that it returns runs the kernel, without arguments, as often as one likes. */

#include "kernels.h"

#include <stdint.h>
#include <string.h>

#define LONG (1 << 16) /* operations; from there on a call lets other threads run */

typedef struct {
    const char *name, *access; /* for each array: r, it is read, or w, it is written */
    int work; /* operations for each element of the first array; 0, if as many as the second has columns */
    int in_place; /* whether an array that is written can be one that is read, element for element */
    Fits *fits;
    Kernel *kernel;
} Entry;

#define COMMON(level) {"lstm_forward", "wrwwww", 8, 0, lstm_forward_fits, lstm_forward_##level},                       \
                      {"lstm_backward", "rrrrwwww", 8, 0, lstm_backward_fits, lstm_backward_##level},                  \
                      {"adam", "rrrrwwww", 8, 1, adam_fits, adam_##level}

static const Entry plain[] = {{"transpose", "rw", 1, 0, transpose_fits, transpose_plain}, COMMON(plain), {0}};
#ifdef X86
static const Entry with_avx2[] = {{"product", "rrw", 0, 0, product_fits, product_avx2},
                                  {"transpose", "rw", 1, 0, transpose_fits, transpose_avx2},
                                  COMMON(avx2),
                                  {0}};
static const Entry with_avx512[] = {{"product", "rrw", 0, 0, product_fits, product_avx512},
                                    {"transpose", "rw", 1, 0, transpose_fits, transpose_avx2},
                                    COMMON(avx512),
                                    {0}};
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
    int fits = buffer->ndim == 2 && buffer->format && !strcmp(buffer->format, "f") && buffer->strides &&
               (uintptr_t)buffer->buf % item == 0;
    for (int axis = 0; fits && axis < 2; axis++) /* the stride of one element says nothing */
        fits = buffer->shape[axis] <= 1 || buffer->strides[axis] % item == 0;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "expected arrays (rows, columns) of float32");
        return -1;
    }
    *array = (Array){buffer->buf, buffer->shape[0], buffer->shape[1], buffer->strides[0] / item,
                     buffer->strides[1] / item};
    return 0;
}

/* Whether the memory from the first element to the last is apart. Arrays that only interleave are taken for ones that
   overlap; no caller has such. */
static int are_apart(const Array a, const Array b) {
    const Array both[] = {a, b};
    const float *first[2], *last[2];
    for (int k = 0; k < 2; k++) {
        if (!both[k].rows || !both[k].columns)
            return 1;
        const Py_ssize_t down = (both[k].rows - 1) * both[k].stride, right = (both[k].columns - 1) * both[k].across;
        first[k] = both[k].data + Py_MIN(down, 0) + Py_MIN(right, 0);
        last[k] = both[k].data + Py_MAX(down, 0) + Py_MAX(right, 0);
    }
    return last[0] < first[1] || last[1] < first[0];
}

static int are_same(const Array a, const Array b) {
    return a.data == b.data && a.rows == b.rows && a.columns == b.columns && a.stride == b.stride &&
           a.across == b.across;
}

/* Whether what the kernel writes is written once, and is not also read or written by way of another array. */
static int are_disjoint(const Entry *entry, const Array *arrays) {
    for (Py_ssize_t k = 0; entry->access[k]; k++) {
        if (entry->access[k] != 'w')
            continue;
        const Py_ssize_t stride = arrays[k].stride < 0 ? -arrays[k].stride : arrays[k].stride;
        if (arrays[k].rows > 1 && stride < arrays[k].columns)
            return 0;
        for (Py_ssize_t j = 0; entry->access[j]; j++) {
            const int in_place = entry->in_place && entry->access[j] == 'r' && are_same(arrays[j], arrays[k]);
            if (j != k && !in_place && !are_apart(arrays[j], arrays[k]))
                return 0;
        }
    }
    return 1;
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
    if (!are_disjoint(entry, arrays)) {
        Py_DECREF(bound);
        return PyErr_Format(PyExc_ValueError, "%s: an array that is written overlaps itself or another", name);
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
