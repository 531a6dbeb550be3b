// Entries picked by indices, and added where indices say. `real` is the dtype. Indices count from
// the end where they are negative; one out of bounds sets *bad, for the host to look at.

INLINE int64 wrapped(int64 index, int64 size, int* bad) {
    if (index < -size || index >= size) {
        *bad = 1;
        return 0;
    }
    return index < 0 ? index + size : index;
}

// result[p, m, q] = values[p, index[p, m, q], q], of shapes (P, L, Q) and (P, M, Q).
extern "C" __global__ void take_along(const real* values, const int64* index, real* result,
                                      int64 ps, int64 l, int64 m, int64 qs, int* bad) {
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < ps * m * qs;
         i += (int64)gridDim.x * blockDim.x) {
        const int64 q = i % qs, p = i / (m * qs);
        result[i] = values[(p * l + wrapped(index[i], l, bad)) * qs + q];
    }
}

// result[p, index[m], q] = the sum of values[p, m, q], in the order of m. The host has sorted the
// indices: order[starts[s] … starts[s + 1]] are the m of index s. A thread an entry of the result.
extern "C" __global__ void add_sorted(const real* values, const int64* order, const int64* starts,
                                      real* result, int64 ps, int64 m, int64 size, int64 qs) {
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < ps * size * qs;
         i += (int64)gridDim.x * blockDim.x) {
        const int64 q = i % qs, s = i / qs % size, p = i / (size * qs);
        real sum = 0;
        for (int64 k = starts[s]; k < starts[s + 1]; ++k)
            sum += values[(p * m + order[k]) * qs + q];
        result[i] = sum;
    }
}

// result[p, index[p, m, q], q] = the sum of values[p, m, q], in the order of m, into a result of
// zeros. A thread a column (p, q): nobody else writes there.
extern "C" __global__ void add_along(const real* values, const int64* index, real* result,
                                     int64 ps, int64 m, int64 size, int64 qs, int* bad) {
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < ps * qs;
         i += (int64)gridDim.x * blockDim.x) {
        const int64 q = i % qs, p = i / qs;
        for (int64 k = 0; k < m; ++k) {
            const int64 from = (p * m + k) * qs + q;
            result[(p * size + wrapped(index[from], size, bad)) * qs + q] += values[from];
        }
    }
}
