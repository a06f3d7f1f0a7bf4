/* The module `recurrio.core._kernels`: kernels bound to arrays.

   `bind` looks a kernel up by its name, among those for the instructions that are in use, and checks the arrays. The
   call that it returns runs the kernel, without arguments, as often as one likes; `chain` makes one call of several. */

#include "kernels.h"

#include <string.h>

#define LONG (1 << 16) /* operations; from there on a call lets other threads run */

typedef struct {
    const char *name, *access; /* for each array: r, it is read; w, it is written; i, it is read and has indices */
    int work; /* operations for each element of the first array; 0, if as many as the second has columns */
    int in_place; /* whether an array that is written can be one that is read, element for element */
    Fits *fits;
    Kernel *kernel;
} Entry;

#define KERNEL(name, access, work, in_place, level) {#name, access, work, in_place, name##_fits, name##_##level},

static const Entry plain[] = {{"transpose", "rw", 1, 0, transpose_fits, transpose_plain}, KERNELS(plain){0}};
#ifdef X86
static const Entry with_avx2[] = {{"product", "rrw", 0, 0, product_fits, product_avx2},
                                  {"transpose", "rw", 1, 0, transpose_fits, transpose_avx2},
                                  KERNELS(avx2){0}};
static const Entry with_avx512[] = {{"product", "rrw", 0, 0, product_fits, product_avx512},
                                    {"transpose", "rw", 1, 0, transpose_fits, transpose_avx2},
                                    KERNELS(avx512){0}};
#endif

static const Entry *entries = plain; /* that `bind` takes */

/* Behind it are its arrays, and then the buffers that hold their memory. */
typedef struct {
    PyObject_VAR_HEAD
    Kernel *kernel;
    double work; /* operations */
} Bound;

/* Bound kernels that run one behind the other. */
typedef struct {
    PyObject_VAR_HEAD
    double work;
    PyObject *calls[];
} Chain;

static Array *arrays_of(PyObject *bound) { return (Array *)((Bound *)bound + 1); }
static Py_buffer *buffers_of(PyObject *bound) { return (Py_buffer *)(arrays_of(bound) + Py_SIZE(bound)); }

static PyTypeObject *bound_type, *chain_type;

static void run(PyObject *const *calls, Py_ssize_t count) {
    for (Py_ssize_t k = 0; k < count; k++)
        ((Bound *)calls[k])->kernel(arrays_of(calls[k]));
}

static PyObject *run_all(PyObject *const *calls, Py_ssize_t count, double work, PyObject *args, PyObject *keywords) {
    if (PyTuple_GET_SIZE(args) || keywords) {
        PyErr_SetString(PyExc_TypeError, "a bound kernel takes no arguments");
        return NULL;
    }
    if (work >= LONG) {
        Py_BEGIN_ALLOW_THREADS
        run(calls, count);
        Py_END_ALLOW_THREADS
    } else {
        run(calls, count);
    }
    Py_RETURN_NONE;
}

static PyObject *bound_call(PyObject *self, PyObject *args, PyObject *keywords) {
    return run_all(&self, 1, ((Bound *)self)->work, args, keywords);
}

static PyObject *chain_call(PyObject *self, PyObject *args, PyObject *keywords) {
    return run_all(((Chain *)self)->calls, Py_SIZE(self), ((Chain *)self)->work, args, keywords);
}

static void bound_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t k = 0; k < Py_SIZE(self); k++)
        PyBuffer_Release(&buffers_of(self)[k]);
    type->tp_free(self);
    Py_DECREF(type);
}

static void chain_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    for (Py_ssize_t k = 0; k < Py_SIZE(self); k++)
        Py_XDECREF(((Chain *)self)->calls[k]);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *chain(PyObject *module, PyObject *args) {
    (void)module;
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject *chain = chain_type->tp_alloc(chain_type, count);
    for (Py_ssize_t k = 0; chain && k < count; k++) {
        PyObject *call = PyTuple_GET_ITEM(args, k);
        if (Py_TYPE(call) != bound_type) {
            PyErr_Format(PyExc_TypeError, "expected bound kernels, got %s", Py_TYPE(call)->tp_name);
            Py_CLEAR(chain);
        } else {
            ((Chain *)chain)->calls[k] = Py_NewRef(call);
            ((Chain *)chain)->work += ((Bound *)call)->work;
        }
    }
    return chain;
}

/* Take the memory of `object` into `array`, for this access; 0, or -1 with an exception. */
static int open_array(PyObject *object, char access, Py_buffer *buffer, Array *array) {
    if (PyObject_GetBuffer(object, buffer, access == 'w' ? PyBUF_RECORDS : PyBUF_RECORDS_RO) < 0)
        return -1;
    const char *formats = access == 'i' ? "ilq" : "f"; /* in C: int, long or long long; or float */
    const Py_ssize_t item = buffer->itemsize;
    const int axes = buffer->ndim;
    int fits = (axes == 1 || axes == 2) && buffer->format && strlen(buffer->format) == 1 &&
               strchr(formats, *buffer->format) && buffer->strides && (uintptr_t)buffer->buf % item == 0;
    for (int axis = 0; fits && axis < axes; axis++) /* the stride of one element says nothing */
        fits = buffer->shape[axis] <= 1 || buffer->strides[axis] % item == 0;
    if (!fits) {
        const char *kind = access == 'i' ? "int32 or int64" : "float32";
        PyErr_Format(PyExc_ValueError, "expected arrays (rows, columns) or (columns,) of %s", kind);
        return -1;
    }
    const Py_ssize_t *shape = buffer->shape + axes - 1, *strides = buffer->strides + axes - 1; /* of the columns */
    *array = (Array){buffer->buf, axes == 1 ? 1 : shape[-1], *shape, axes == 1 ? *shape : strides[-1] / item,
                     *strides / item, item};
    return 0;
}

/* Whether the memory from the first element to the last is apart. Arrays that only interleave are taken for ones that
   overlap; no caller has such. */
static int are_apart(const Array a, const Array b) {
    const Array both[] = {a, b};
    const char *first[2], *last[2]; /* the last byte */
    for (int k = 0; k < 2; k++) {
        if (!both[k].rows || !both[k].columns)
            return 1;
        const Py_ssize_t down = (both[k].rows - 1) * both[k].stride, right = (both[k].columns - 1) * both[k].across;
        first[k] = (const char *)both[k].data + (Py_MIN(down, 0) + Py_MIN(right, 0)) * both[k].item;
        last[k] = (const char *)both[k].data + (Py_MAX(down, 0) + Py_MAX(right, 0) + 1) * both[k].item - 1;
    }
    return last[0] < first[1] || last[1] < first[0];
}

static int are_same(const Array a, const Array b) {
    return a.data == b.data && a.rows == b.rows && a.columns == b.columns && a.stride == b.stride &&
           a.across == b.across;
}

/* Whether no two elements are in one place: the rows are one behind the other, or the columns are. */
static int is_written_once(const Array a) {
    const Py_ssize_t down = a.rows > 1 ? Py_ABS(a.stride) : PY_SSIZE_T_MAX;
    const Py_ssize_t right = a.columns > 1 ? Py_ABS(a.across) : PY_SSIZE_T_MAX;
    if (a.rows <= 1 || a.columns <= 1)
        return (down && right) || !a.rows || !a.columns;
    return down && right && (down > (a.columns - 1) * right || right > (a.rows - 1) * down);
}

/* Whether what the kernel writes is written once, and is not also read or written by way of another array. */
static int are_disjoint(const Entry *entry, const Array *arrays) {
    for (Py_ssize_t k = 0; entry->access[k]; k++) {
        if (entry->access[k] != 'w')
            continue;
        if (!is_written_once(arrays[k]))
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
        if (open_array(PyTuple_GET_ITEM(args, k + 1), entry->access[k], &buffers_of(bound)[k], &arrays[k]) < 0) {
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
    const double work = entry->work ? entry->work : arrays[1].columns;
    ((Bound *)bound)->kernel = entry->kernel;
    ((Bound *)bound)->work = work * arrays[0].rows * arrays[0].columns;
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
    {"chain", chain, METH_VARARGS, "chain(*calls): a callable that runs bound kernels one behind the other."},
    {"use", use, METH_O, "use(instructions): from now on bind kernels made of these; a list of the kernels."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernels", .m_doc = "The inner loops in machine code.", .m_size = -1,
    .m_methods = methods};

PyMODINIT_FUNC PyInit__kernels(void) {
    const unsigned flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
    PyType_Slot bound_slots[] = {{Py_tp_call, bound_call}, {Py_tp_dealloc, bound_dealloc}, {0, NULL}};
    PyType_Spec bound_spec = {"recurrio.core._kernels.Bound", sizeof(Bound), sizeof(Array) + sizeof(Py_buffer), flags,
                              bound_slots};
    PyType_Slot chain_slots[] = {{Py_tp_call, chain_call}, {Py_tp_dealloc, chain_dealloc}, {0, NULL}};
    PyType_Spec chain_spec = {"recurrio.core._kernels.Chain", sizeof(Chain), sizeof(PyObject *), flags, chain_slots};
    find_levels();
    PyObject *module = PyModule_Create(&definition), *names = NULL;
    if (!module || !(bound_type = (PyTypeObject *)PyType_FromSpec(&bound_spec)) ||
        !(chain_type = (PyTypeObject *)PyType_FromSpec(&chain_spec)) || !(names = PyList_New(0)))
        goto failed;
    for (Py_ssize_t k = 0; k < level_count; k++)
        if (add_name(names, levels[k].name) < 0)
            goto failed;
    if (PyModule_AddObjectRef(module, "INSTRUCTIONS", names) < 0 || PyModule_AddType(module, bound_type) < 0)
        goto failed;
    Py_DECREF(names);
    return module;
failed:
    Py_XDECREF(names);
    Py_CLEAR(bound_type);
    Py_CLEAR(chain_type);
    Py_XDECREF(module);
    return NULL;
}
