// Images of a dataset that stays on the device, picked and turned: a thread a pixel of the result.

INLINE float as_float(uint8 pixel) { return pixel * (1.f / 255); }
INLINE real as_float(real pixel) { return pixel; }

// out[i, c] = images[rows[i], c] (height, width), turned counterclockwise turns[i] times by 90°.
// Only square images are turned an odd number of times.
template <class Pixel, class T>
INLINE void gather(const Pixel* images, const int64* rows, const int64* turns, T* out, int64 count,
                   int64 channels, int64 height, int64 width) {
    const int64 plane = height * width;
    for (int64 n = (int64)blockIdx.x * blockDim.x + threadIdx.x; n < count * channels * plane;
         n += (int64)gridDim.x * blockDim.x) {
        const int64 i = n / (channels * plane), c = n / plane % channels;
        const int64 y = n % plane / width, x = n % width;
        int64 from_y = y, from_x = x;
        if (turns[i] == 1) from_y = x, from_x = width - 1 - y;
        if (turns[i] == 2) from_y = height - 1 - y, from_x = width - 1 - x;
        if (turns[i] == 3) from_y = height - 1 - x, from_x = y;
        out[n] = as_float(images[((rows[i] * channels + c) * height + from_y) * width + from_x]);
    }
}

extern "C" __global__ void gather_bytes(const uint8* images, const int64* rows, const int64* turns,
                                        float* out, int64 count, int64 channels, int64 height,
                                        int64 width) {
    gather(images, rows, turns, out, count, channels, height, width);
}

extern "C" __global__ void gather_images(const real* images, const int64* rows, const int64* turns,
                                         real* out, int64 count, int64 channels, int64 height,
                                         int64 width) {
    gather(images, rows, turns, out, count, channels, height, width);
}
