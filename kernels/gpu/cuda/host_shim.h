// CUDA's thread hierarchy on the CPU, for tests: the source of a kernel is compiled as it is by a
// C++ compiler, and its threads take turns at barriers and shuffles.
//
// Blocks run one after the other, each with its threads as contexts of their own (ucontext). A
// thread runs until it waits for its block or its warp, or ends; when all that are waited for have
// arrived, all go on. A barrier that some threads never reach ends the program with a message,
// where a GPU would hang. Copies to shared memory are done as late as they may be.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define HOST_SHIM
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __constant__ static const

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

enum State { RUNS, AT_BLOCK, AT_WARP, ENDED };

struct Copy {
    void* to;
    const void* from;
    int bytes, given;
    unsigned group;
};

struct Thread {
    ucontext_t context;
    std::unique_ptr<char[]> stack;  // not filled with anything: most of its pages are never touched
    dim3 index;
    State state = ENDED;
    unsigned long long slot = 0;  // what a shuffle or a vote offers
    float factors[6];             // what a product of a warp's threads offers
    std::deque<Copy> copies;      // not done yet
    unsigned groups = 0;          // of copies that were ended
};

static std::vector<Thread> threads;
static ucontext_t scheduler;
static unsigned current = 0;
static void (*body)(void*) = nullptr;
static void* body_arguments = nullptr;
static const unsigned STACK = 1 << 16;

inline unsigned warp_of(unsigned n) { return n / 32; }

inline void give_way(State state) {
    threads[current].state = state;
    swapcontext(&threads[current].context, &scheduler);
}

inline void enter() {
    body(body_arguments);
    give_way(ENDED);
}

// Lets all of a group go on once each of them waits for it; whether there was anybody to let go.
inline bool release(unsigned first, unsigned last, State state) {
    bool waiting = false;
    for (unsigned n = first; n < last; ++n) {
        if (threads[n].state == RUNS) return false;
        if (threads[n].state == state) waiting = true;
        else if (threads[n].state != ENDED) return false;
    }
    for (unsigned n = first; n < last; ++n)
        if (threads[n].state == state) threads[n].state = RUNS;
    return waiting;
}

inline void run_block() {
    const unsigned count = blockDim.x * blockDim.y * blockDim.z;
    threads.resize(count);
    for (unsigned n = 0; n < count; ++n) {
        Thread& t = threads[n];
        t.index = dim3(n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y);
        t.state = RUNS;
        t.copies.clear();
        t.groups = 0;
        if (!t.stack) t.stack.reset(new char[STACK]);
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.get();
        t.context.uc_stack.ss_size = STACK;
        t.context.uc_link = nullptr;
        makecontext(&t.context, enter, 0);
    }
    for (;;) {
        bool ran = false, left = false;
        for (current = 0; current < count; ++current) {
            if (threads[current].state != RUNS) continue;
            ran = true;
            threadIdx = threads[current].index;
            swapcontext(&scheduler, &threads[current].context);
        }
        for (unsigned first = 0; first < count; first += 32)
            if (release(first, first + 32 < count ? first + 32 : count, AT_WARP)) ran = true;
        if (release(0, count, AT_BLOCK)) ran = true;
        for (Thread& t : threads) left = left || t.state != ENDED;
        if (!left) return;
        if (!ran) {
            std::fprintf(stderr, "a barrier or shuffle is not reached by all of its threads\n");
            std::abort();
        }
    }
}

template <class... A> struct Call {
    void (*kernel)(A...);
    std::tuple<A...> arguments;
};

// Runs a kernel; `given` holds the address of each argument, as for cuLaunchKernel.
template <class... A> void launch(void (*kernel)(A...), dim3 grid, dim3 block, void** given) {
    unsigned n = 0;
    Call<A...> call{kernel, std::tuple<A...>{*static_cast<A*>(given[n++])...}};
    body = [](void* x) {
        auto* call = static_cast<Call<A...>*>(x);
        std::apply(call->kernel, call->arguments);
    };
    body_arguments = &call;
    blockDim = block;
    gridDim = grid;
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) run_block();
    // Every kernel is a library with threads of its own, and a process loads a thousand of them.
    threads.clear();
    threads.shrink_to_fit();
}

template <class T> T exchange(T x, unsigned lane) {
    static_assert(sizeof(T) <= 8, "a slot has eight bytes");
    const unsigned me = current, base = me / 32 * 32;
    std::memcpy(&threads[me].slot, &x, sizeof x);
    give_way(AT_WARP);
    T found = x;
    if (base + lane < threads.size()) std::memcpy(&found, &threads[base + lane].slot, sizeof x);
    give_way(AT_WARP);  // before slots are written again
    return found;
}

}  // namespace shim

template <int BYTES> void copy_async(void* to, const void* from, int given) {
    if (reinterpret_cast<size_t>(to) % BYTES || (given && reinterpret_cast<size_t>(from) % BYTES)) {
        std::fprintf(stderr, "a copy of %d bytes is not aligned to them\n", BYTES);
        std::abort();
    }
    shim::Thread& me = shim::threads[shim::current];
    me.copies.push_back({to, from, BYTES, given, me.groups});
}
inline void commit_copies() { ++shim::threads[shim::current].groups; }
template <int LEFT> void wait_copies() {
    shim::Thread& me = shim::threads[shim::current];
    while (!me.copies.empty() && me.copies.front().group + LEFT < me.groups) {
        const shim::Copy& c = me.copies.front();
        std::memcpy(c.to, c.from, c.given);
        std::memset(static_cast<char*>(c.to) + c.given, 0, c.bytes - c.given);
        me.copies.pop_front();
    }
}

inline void __syncthreads() {
    shim::give_way(shim::AT_BLOCK);
    // The scheduler sets the index of the thread that it lets go on.
}
inline void __syncwarp(unsigned = 0xffffffffu) { shim::give_way(shim::AT_WARP); }
template <class T> T __shfl_xor_sync(unsigned, T x, int mask) {
    return shim::exchange(x, (shim::current % 32) ^ mask);
}
template <class T> T __shfl_down_sync(unsigned, T x, int far) {
    const unsigned lane = shim::current % 32 + far;
    return shim::exchange(x, lane < 32 ? lane : shim::current % 32);
}
template <class T> T __shfl_sync(unsigned, T x, int lane) { return shim::exchange(x, lane % 32); }

inline float __int_as_float(int x) { float y; std::memcpy(&y, &x, 4); return y; }
inline int __float_as_int(float x) { int y; std::memcpy(&y, &x, 4); return y; }
inline double __longlong_as_double(long long x) { double y; std::memcpy(&y, &x, 8); return y; }
inline long long __double_as_longlong(double x) { long long y; std::memcpy(&y, &x, 8); return y; }
inline float to_tf32(float x) {
    if (!std::isfinite(x)) return x;
    unsigned bits;
    std::memcpy(&bits, &x, 4);
    bits = (bits + 0x1000u) & ~0x1fffu;
    std::memcpy(&x, &bits, 4);
    return x;
}
// Thread 4g + t of a warp has rows g and g + 8 of a at terms t and t + 4, column g of b at these
// terms, and rows g and g + 8 of c at columns 2t and 2t + 1.
inline void multiply_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
    const unsigned me = shim::current, base = me / 32 * 32, group = me % 32 / 4, place = me % 4;
    std::memcpy(shim::threads[me].factors, a, sizeof a);
    std::memcpy(shim::threads[me].factors + 4, b, sizeof b);
    shim::give_way(shim::AT_WARP);
    const auto factor = [&](unsigned lane, int n) { return shim::threads[base + lane].factors[n]; };
    for (int e = 0; e < 4; ++e)
        for (unsigned k = 0; k < 8; ++k)
            c[e] += factor(group * 4 + k % 4, k / 4 * 2 + e / 2) *
                    factor((place * 2 + e % 2) * 4 + k % 4, 4 + k / 4);
    shim::give_way(shim::AT_WARP);  // before factors are written again
}
inline float __frcp_rn(float x) { return 1.f / x; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return (unsigned __int128)x * y >> 64;
}
inline unsigned __umulhi(unsigned x, unsigned y) { return ((unsigned long long)x * y) >> 32; }

// Of the types that CUDA has them for, and no others: int64 is `long long`, which atomicAdd lacks.
#define ATOMIC_ADD(T) inline T atomicAdd(T* place, T x) { T old = *place; *place += x; return old; }
#define ATOMIC_MAX(T) inline T atomicMax(T* place, T x) { T old = *place; if (x > old) *place = x; return old; }
ATOMIC_ADD(int) ATOMIC_ADD(unsigned) ATOMIC_ADD(unsigned long long) ATOMIC_ADD(float) ATOMIC_ADD(double)
ATOMIC_MAX(int) ATOMIC_MAX(unsigned) ATOMIC_MAX(long long) ATOMIC_MAX(unsigned long long)
