// The table of addresses that generated kernels look into. What is written comes with the launch: a
// copy from the host's memory might wait for the device.

struct Words {
    uint64 at[256];
};

extern "C" __global__ void write_words(uint64* table, Words words, int64 first, int64 count) {
    const int64 stride = (int64)gridDim.x * blockDim.x;
    for (int64 n = (int64)blockIdx.x * blockDim.x + threadIdx.x; n < count; n += stride)
        table[first + n] = words.at[n];
}
