// Random numbers that depend on a key and a place alone: Philox 4×64-10 (J. Salmon, M. Moraes,
// R. Dror, D. Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011), counted as NumPy does: the
// same bits on every device. The counter of block i is (i + 1, index, 0, purpose).

struct Four {
    uint64 x[4];
};

INLINE Four philox(Four counter, uint64 first, uint64 second) {
    const uint64 a = 0xD2E7470EE14C6C93ull, b = 0xCA5A826395121157ull;
    for (int round = 0; round < 10; ++round) {
        counter = {{__umul64hi(b, counter.x[2]) ^ counter.x[1] ^ first, b * counter.x[2],
                    __umul64hi(a, counter.x[0]) ^ counter.x[3] ^ second, a * counter.x[0]}};
        first += 0x9E3779B97F4A7C15ull;
        second += 0xBB67AE8584CAA73Bull;
    }
    return counter;
}

// bits[s, 4 i … 4 i + 3] = block i of keys[s]. A thread a block of numbers.
extern "C" __global__ void random_bits(const uint64* keys, uint64* bits, int64 stacked, int64 count,
                                       int64 purpose) {
    const int64 blocks = (count + 3) / 4;
    for (int64 n = (int64)blockIdx.x * blockDim.x + threadIdx.x; n < stacked * blocks;
         n += (int64)gridDim.x * blockDim.x) {
        const int64 s = n / blocks, i = n % blocks;
        const Four counter = {{(uint64)i + 1, 0, 0, (uint64)purpose}};
        const Four found = philox(counter, keys[2 * s], keys[2 * s + 1]);
        for (int k = 0; k < 4 && 4 * i + k < count; ++k) bits[s * count + 4 * i + k] = found.x[k];
    }
}

// children[s] = a key made of keys[s] and numbers[s]. A thread a key.
extern "C" __global__ void random_children(const uint64* keys, const uint64* numbers,
                                           uint64* children, int64 stacked, int64 purpose) {
    for (int64 s = (int64)blockIdx.x * blockDim.x + threadIdx.x; s < stacked;
         s += (int64)gridDim.x * blockDim.x) {
        const Four counter = {{1, numbers[s], 0, (uint64)purpose}};
        const Four found = philox(counter, keys[2 * s], keys[2 * s + 1]);
        children[2 * s] = found.x[0];
        children[2 * s + 1] = found.x[1];
    }
}
