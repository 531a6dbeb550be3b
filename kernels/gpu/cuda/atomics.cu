// Entries added where indices say, in whatever order threads come by: faster than sorted ones, but the
// last digits differ from run to run. `real` is a dtype that CUDA adds at once. Indices are whole
// numbers from 0, that the host has looked at.

template <class T> INLINE void add_at(T* place, T x) { atomicAdd(place, x); }
INLINE void add_at(int64* place, int64 x) {  // in two's complement a sum is the same without signs
    atomicAdd(reinterpret_cast<uint64*>(place), static_cast<uint64>(x));
}

// result[p, index[m], q] += values[p, m, q], into a result of zeros. A thread an entry of values.
extern "C" __global__ void add_atomically(const real* values, const int64* index, real* result,
                                          int64 ps, int64 m, int64 size, int64 qs) {
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < ps * m * qs;
         i += (int64)gridDim.x * blockDim.x) {
        const int64 q = i % qs, k = i / qs % m, p = i / (m * qs);
        add_at(result + (p * size + index[k]) * qs + q, values[i]);
    }
}
