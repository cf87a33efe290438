#section support_code_apply

/* A layer in C, which Theano compiles into its functions and calls: y = tanh(x w + b). */
int APPLY_SPECIFIC(dense)(PyArrayObject* x, PyArrayObject* w, PyArrayObject* b, PyArrayObject** y) {
    npy_intp shape[] = {PyArray_DIM(x, 0), PyArray_DIM(w, 1)};
    if (PyArray_DIM(x, 1) != PyArray_DIM(w, 0)) {
        PyErr_SetString(PyExc_ValueError, "x and w do not fit");
        return 1;
    }
    Py_XDECREF(*y);
    *y = (PyArrayObject*)PyArray_SimpleNew(2, shape, TYPENUM_OUTPUT_0);
    if (*y == NULL) return 1;
    for (npy_intp row = 0; row < shape[0]; row++) {
        for (npy_intp column = 0; column < shape[1]; column++) {
            double sum = *(DTYPE_INPUT_2*)PyArray_GETPTR1(b, column);
            for (npy_intp i = 0; i < PyArray_DIM(x, 1); i++) {
                sum += (double)*(DTYPE_INPUT_0*)PyArray_GETPTR2(x, row, i) * *(DTYPE_INPUT_1*)PyArray_GETPTR2(w, i, column);
            }
            *(DTYPE_OUTPUT_0*)PyArray_GETPTR2(*y, row, column) = tanh(sum);
        }
    }
    return 0;
}
