// Batch normalisation of x (tasks, outer, channels), each channel of a task over `outer`, its
// derivative, and the derivative of that. With N = outer, s = 1/√(variance + eps), z = (x - mean) s
// and ⟨…⟩ for means over a channel:
//
//   y  = scale z + shift
//   dx = scale s (g - ⟨g⟩ - z ⟨g z⟩), dscale = N ⟨g z⟩, dshift = N ⟨g⟩
//
// A block of 256 threads does 32 channels of a task: neighbouring threads read neighbouring
// channels, each warp some of the rows. Sums are joined in the order of the warps.

#define CHANNELS 32
#define WARPS 8

struct Channel {
    int64 at, rows, step;  // of the first row, and how far rows are apart
    bool inside;
};

INLINE int64 groups(int64 channels) { return (channels + CHANNELS - 1) / CHANNELS; }
INLINE Channel channel(int64 block, int64 outer, int64 channels) {
    const int64 task = block / groups(channels);
    const int64 c = block % groups(channels) * CHANNELS + threadIdx.x % WARP;
    return {task * outer * channels + c, outer, channels, c < channels};
}
// Where the channel's own number lies in an array (tasks, channels).
INLINE int64 number(int64 block, int64 channels) {
    return block / groups(channels) * channels + block % groups(channels) * CHANNELS +
           threadIdx.x % WARP;
}

// The sum of all warps' numbers for a channel; for each of its threads.
INLINE real joined(real mine) {
    __shared__ real parts[WARPS][WARP];
    __syncthreads();  // a call before this one may still be reading
    parts[threadIdx.x / WARP][threadIdx.x % WARP] = mine;
    __syncthreads();
    real sum = parts[0][threadIdx.x % WARP];
    for (int w = 1; w < WARPS; ++w) sum += parts[w][threadIdx.x % WARP];
    return sum;
}

#define EACH_BLOCK(B) \
    for (int64 B = blockIdx.x; B < tasks * groups(channels); B += gridDim.x)
#define EACH_ROW(I, C) \
    for (int64 r = threadIdx.x / WARP, I = C.at + r * C.step; C.inside && r < C.rows; \
         r += WARPS, I += WARPS * C.step)

extern "C" __global__ void batch_norm(const real* x, const real* scale, const real* shift, real* y,
                                      real* mean, real* inverse, int64 tasks, int64 outer,
                                      int64 channels, double eps) {
    EACH_BLOCK(b) {
        const Channel c = channel(b, outer, channels);
        const int64 n = number(b, channels);
        real sum = 0, squares = 0;
        EACH_ROW(i, c) sum += x[i];
        const real middle = joined(sum) / outer;
        EACH_ROW(i, c) squares += (x[i] - middle) * (x[i] - middle);
        const real s = 1 / sqrt(joined(squares) / outer + (real)eps);
        EACH_ROW(i, c) y[i] = (x[i] - middle) * s * scale[n] + shift[n];
        if (c.inside && threadIdx.x < WARP) mean[n] = middle, inverse[n] = s;
    }
}

extern "C" __global__ void batch_norm_vjp(const real* g, const real* x, const real* mean,
                                          const real* inverse, const real* scale, real* dx,
                                          real* dscale, real* dshift, int64 tasks, int64 outer,
                                          int64 channels) {
    EACH_BLOCK(b) {
        const Channel c = channel(b, outer, channels);
        const int64 n = number(b, channels);
        const real middle = c.inside ? mean[n] : 0, s = c.inside ? inverse[n] : 0;
        real sum = 0, product = 0;
        EACH_ROW(i, c) sum += g[i], product += g[i] * (x[i] - middle) * s;
        sum = joined(sum), product = joined(product);
        const real mean_g = sum / outer, mean_gz = product / outer;
        EACH_ROW(i, c)
            dx[i] = scale[n] * s * (g[i] - mean_g - (x[i] - middle) * s * mean_gz);
        if (c.inside && threadIdx.x < WARP) dscale[n] = product, dshift[n] = sum;
    }
}

// The transpose of that: from cotangents a of dx, of dscale and of dshift to those of g, x and
// scale. With m = ⟨g z⟩, q = ⟨a z⟩ and h = -(q g + m a):
//
//   of g:     scale s (a - ⟨a⟩ - z q) + ct_dscale z + ct_dshift
//   of x:     scale s² (h - ⟨h⟩ - z ⟨h z⟩ - z (⟨a g⟩ - ⟨a⟩⟨g⟩ - m q)) + ct_dscale s (g - ⟨g⟩ - z m)
//   of scale: N s (⟨a g⟩ - ⟨a⟩⟨g⟩ - m q)
extern "C" __global__ void batch_norm_vjp_vjp(
    const real* a, const real* ct_dscale, const real* ct_dshift, const real* g, const real* x,
    const real* mean, const real* inverse, const real* scale, real* ct_g, real* ct_x,
    real* ct_scale, int64 tasks, int64 outer, int64 channels) {
    EACH_BLOCK(b) {
        const Channel c = channel(b, outer, channels);
        const int64 n = number(b, channels);
        const real middle = c.inside ? mean[n] : 0, s = c.inside ? inverse[n] : 0;
        real sum_a = 0, sum_g = 0, sum_az = 0, sum_gz = 0;
        EACH_ROW(i, c) {
            const real z = (x[i] - middle) * s;
            sum_a += a[i], sum_g += g[i], sum_az += a[i] * z, sum_gz += g[i] * z;
        }
        const real mean_a = joined(sum_a) / outer, mean_g = joined(sum_g) / outer;
        const real q = joined(sum_az) / outer, m = joined(sum_gz) / outer;
        real together = 0;  // centred, so that large means do not cancel
        EACH_ROW(i, c) together += (a[i] - mean_a) * (g[i] - mean_g);
        const real spread = joined(together) / outer - m * q;
        EACH_ROW(i, c) {
            const real z = (x[i] - middle) * s, k = ct_dscale[n];
            const real h = -(q * (g[i] - mean_g) + m * (a[i] - mean_a)) + 2 * q * m * z;
            ct_g[i] = scale[n] * s * (a[i] - mean_a - z * q) + k * z + ct_dshift[n];
            ct_x[i] = scale[n] * s * s * (h - z * spread) + k * s * (g[i] - mean_g - z * m);
        }
        if (c.inside && threadIdx.x < WARP) ct_scale[n] = outer * s * spread;
    }
}
