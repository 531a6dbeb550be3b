// Random numbers that depend on a key and a place alone: Philox 4×32-10 (J. Salmon, M. Moraes,
// R. Dror, D. Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011). The same on every device.

struct Four {
    uint32 x[4];
};

INLINE Four philox(Four counter, uint32 first, uint32 second) {
    for (int round = 0; round < 10; ++round) {
        const uint64 a = (uint64)0xD2511F53u * counter.x[0];
        const uint64 b = (uint64)0xCD9E8D57u * counter.x[2];
        counter = {{(uint32)(b >> 32) ^ counter.x[1] ^ first, (uint32)b,
                    (uint32)(a >> 32) ^ counter.x[3] ^ second, (uint32)a}};
        first += 0x9E3779B9u;
        second += 0xBB67AE85u;
    }
    return counter;
}

// bits[4 i … 4 i + 3] = the block of counter (i, stream). A thread a block.
extern "C" __global__ void philox_bits(uint32* bits, int64 size, uint64 key, uint64 stream) {
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; 4 * i < size;
         i += (int64)gridDim.x * blockDim.x) {
        const Four counter = {{(uint32)i, (uint32)((uint64)i >> 32), (uint32)stream,
                               (uint32)(stream >> 32)}};
        const Four found = philox(counter, (uint32)key, (uint32)(key >> 32));
        for (int k = 0; k < 4 && 4 * i + k < size; ++k) bits[4 * i + k] = found.x[k];
    }
}
