// Softmax and what goes with it, on rows of n entries side by side: a warp a row, in one pass over
// memory after the first. Blocks have any multiple of 32 threads.

INLINE int lane() { return threadIdx.x % WARP; }
INLINE int64 first_row() { return ((int64)blockIdx.x * blockDim.x + threadIdx.x) / WARP; }
INLINE int64 next_row() { return (int64)gridDim.x * blockDim.x / WARP; }

// The largest entry of a row, and the sum of exp(entry - largest): for all threads of the warp.
INLINE real row_largest(const real* row, int64 n) {
    real most = smallest<real>();
    for (int64 i = lane(); i < n; i += WARP) most = maximum(most, row[i]);
    return join_warp<Max>(most);
}
INLINE real row_sum(const real* row, int64 n, real most) {
    real sum = 0;
    for (int64 i = lane(); i < n; i += WARP) sum += exp(row[i] - most);
    return join_warp<Sum>(sum);
}

extern "C" __global__ void softmax(const real* x, real* out, int64 rows, int64 n) {
    for (int64 r = first_row(); r < rows; r += next_row()) {
        const real* row = x + r * n;
        const real most = row_largest(row, n), sum = row_sum(row, n, most);
        for (int64 i = lane(); i < n; i += WARP) out[r * n + i] = exp(row[i] - most) / sum;
    }
}

extern "C" __global__ void log_softmax(const real* x, real* out, int64 rows, int64 n) {
    for (int64 r = first_row(); r < rows; r += next_row()) {
        const real* row = x + r * n;
        const real most = row_largest(row, n), sum = log(row_sum(row, n, most));
        for (int64 i = lane(); i < n; i += WARP) out[r * n + i] = row[i] - most - sum;
    }
}

// losses[r] = -log softmax(logits[r])[labels[r]]; a label that names no class sets *bad.
extern "C" __global__ void cross_entropy(const real* logits, const int64* labels, real* losses,
                                         int64 rows, int64 n, int* bad) {
    for (int64 r = first_row(); r < rows; r += next_row()) {
        const real* row = logits + r * n;
        const real most = row_largest(row, n), sum = log(row_sum(row, n, most));
        const bool inside = labels[r] >= 0 && labels[r] < n;
        if (lane() == 0) {
            if (!inside) *bad = 1;
            losses[r] = inside ? sum + most - row[labels[r]] : real(0);
        }
    }
}

// Its transpose: result[r] = (softmax(logits[r]) - the label's unit vector) · g[r].
extern "C" __global__ void cross_entropy_vjp(const real* g, const real* logits,
                                             const int64* labels, real* result, int64 rows,
                                             int64 n) {
    for (int64 r = first_row(); r < rows; r += next_row()) {
        const real* row = logits + r * n;
        const real most = row_largest(row, n), sum = row_sum(row, n, most);
        for (int64 i = lane(); i < n; i += WARP)
            result[r * n + i] = (exp(row[i] - most) / sum - (i == labels[r])) * g[r];
    }
}
