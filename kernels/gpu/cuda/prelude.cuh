// What all kernels share: scalar functions that CUDA lacks or that differ from NumPy's, and
// reductions by the threads of a warp or a block.
#pragma once

typedef signed char int8;
typedef unsigned char uint8;
typedef short int16;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef long long int64;
typedef unsigned long long uint64;
struct two_doubles { double x, y; };

#define WARP 32
#define INLINE __device__ __forceinline__

// A parameter of a generated kernel: where an address lies, and bytes behind that address.
struct Place {
    char* const* entry;
    int64 far;
    template <class T> INLINE T* at() const { return reinterpret_cast<T*>(*entry + far); }
};

// Entries that lie side by side, which are read at once.
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Several {
    T at[N];
};

// The larger one; NaN if one is NaN.
template <class T> INLINE T maximum(T x, T y) { return x > y || x != x ? x : y; }
template <class T> INLINE T minimum(T x, T y) { return x < y || x != x ? x : y; }

// x / y, rounded correctly (P. Markstein, Computation of elementary functions on the IBM RISC
// System/6000 processor, 1990). CUDA's own division takes a long way where x is 0, as half of all
// gradients behind a relu are; and here the reciprocal is found once where y stays the same.
INLINE float divided(float x, float y) {
    if (!(fabsf(y) > 0x1p-126f && fabsf(y) < 0x1p126f)) return x / y;
    const float reciprocal = __frcp_rn(y), about = x * reciprocal;
    const float rest = fmaf(-about, y, x);  // none of an infinity, nor of a signed zero
    return fabsf(rest) > 0.f && fabsf(rest) <= 0x1.fffffep127f ? fmaf(rest, reciprocal, about) : about;
}
INLINE double divided(double x, double y) { return x / y; }

INLINE float sigmoid(float x) {
    const float e = expf(-fabsf(x));
    return (x >= 0.f ? 1.f : e) / (1.f + e);
}
INLINE double sigmoid(double x) {
    const double e = exp(-fabs(x));
    return (x >= 0. ? 1. : e) / (1. + e);
}

// Reductions: an identity, and how two partial results are joined.
template <class T> INLINE T largest();
template <> INLINE float largest() { return __int_as_float(0x7f800000); }
template <> INLINE double largest() { return __longlong_as_double(0x7ff0000000000000LL); }
template <> INLINE int largest() { return 0x7fffffff; }
template <> INLINE int64 largest() { return 0x7fffffffffffffffLL; }
template <class T> INLINE T smallest() { return -largest<T>(); }
template <> INLINE int smallest() { return -0x7fffffff - 1; }
template <> INLINE int64 smallest() { return -0x7fffffffffffffffLL - 1; }

struct Sum {
    template <class T> static INLINE T identity() { return T(0); }
    template <class T> static INLINE T join(T x, T y) { return x + y; }
};
struct Max {
    template <class T> static INLINE T identity() { return smallest<T>(); }
    template <class T> static INLINE T join(T x, T y) { return maximum(x, y); }
};
struct Min {
    template <class T> static INLINE T identity() { return largest<T>(); }
    template <class T> static INLINE T join(T x, T y) { return minimum(x, y); }
};

// The values of a warp's threads, joined; every thread gets the result.
template <class Op, class T> INLINE T join_warp(T x) {
    for (int far = WARP / 2; far; far /= 2) x = Op::join(x, __shfl_xor_sync(0xffffffffu, x, far));
    return x;
}

// The values of all threads of a block, joined in a fixed order; every thread gets the result.
template <class Op, class T> INLINE T join_block(T x) {
    __shared__ T parts[WARP];
    const int warps = (blockDim.x + WARP - 1) / WARP;
    x = join_warp<Op>(x);
    __syncthreads();  // a call before this one may still be reading
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    x = parts[0];
    for (int w = 1; w < warps; ++w) x = Op::join(x, parts[w]);
    return x;
}
