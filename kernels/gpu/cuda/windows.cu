// Windows of images as rows of a matrix, back, and the largest entry of each. `real` is the dtype.

struct WindowSizes {
    int images, height, width, channels;  // of the images
    int rows, columns;                    // of windows on an image
    int tall, wide;                       // of a window
    int down, right;                      // from a window to the next
    int top, left;                        // padding
    int dilated_down, dilated_right;      // from an entry of a window to the next
    int64 strides[4];                     // of the images, in entries
};

// cols[n, y, x, i, j, c] = the image's entry there, or 0 beside the image. A thread an entry.
extern "C" __global__ void im2col(const real* images, real* cols, WindowSizes s) {
    const int64 size = (int64)s.images * s.rows * s.columns * s.tall * s.wide * s.channels;
    for (int64 p = (int64)blockIdx.x * blockDim.x + threadIdx.x; p < size;
         p += (int64)gridDim.x * blockDim.x) {
        int64 left = p;
        const int c = left % s.channels; left /= s.channels;
        const int j = left % s.wide; left /= s.wide;
        const int i = left % s.tall; left /= s.tall;
        const int x = left % s.columns; left /= s.columns;
        const int y = left % s.rows; left /= s.rows;
        const int h = y * s.down - s.top + i * s.dilated_down;
        const int w = x * s.right - s.left + j * s.dilated_right;
        const bool inside = h >= 0 && h < s.height && w >= 0 && w < s.width;
        const int64 place =
            left * s.strides[0] + h * s.strides[1] + w * s.strides[2] + c * s.strides[3];
        cols[p] = inside ? images[place] : real(0);
    }
}

// images[n, h, w, c] = the sum of the entries of all windows that lie there, in the order of their
// places in a window. A thread an entry of the images, which have no gaps.
extern "C" __global__ void col2im(const real* cols, real* images, WindowSizes s) {
    const int64 size = (int64)s.images * s.height * s.width * s.channels;
    for (int64 p = (int64)blockIdx.x * blockDim.x + threadIdx.x; p < size;
         p += (int64)gridDim.x * blockDim.x) {
        int64 n = p;
        const int c = n % s.channels; n /= s.channels;
        const int w = n % s.width; n /= s.width;
        const int h = n % s.height; n /= s.height;
        real sum = 0;
        for (int i = 0; i < s.tall; ++i) {
            const int below = h + s.top - i * s.dilated_down, y = below / s.down;
            if (below < 0 || below % s.down || y >= s.rows) continue;
            for (int j = 0; j < s.wide; ++j) {
                const int beside = w + s.left - j * s.dilated_right, x = beside / s.right;
                if (beside < 0 || beside % s.right || x >= s.columns) continue;
                const int64 window = ((n * s.rows + y) * s.columns + x) * s.tall + i;
                sum += cols[(window * s.wide + j) * s.channels + c];
            }
        }
        images[p] = sum;
    }
}

// index[n, y, x, c] = h · width + w of the window's largest entry: the first of equal ones, and NaN
// before every number. A thread a window.
extern "C" __global__ void pool_argmax(const real* images, int64* index, WindowSizes s) {
    const int64 size = (int64)s.images * s.rows * s.columns * s.channels;
    for (int64 p = (int64)blockIdx.x * blockDim.x + threadIdx.x; p < size;
         p += (int64)gridDim.x * blockDim.x) {
        int64 n = p;
        const int c = n % s.channels; n /= s.channels;
        const int x = n % s.columns; n /= s.columns;
        const int y = n % s.rows; n /= s.rows;
        int64 found = -1;
        real best = 0;
        for (int i = 0; i < s.tall; ++i)
            for (int j = 0; j < s.wide; ++j) {
                const int h = y * s.down - s.top + i, w = x * s.right - s.left + j;
                if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
                const real value = images[n * s.strides[0] + h * s.strides[1] +
                                          w * s.strides[2] + c * s.strides[3]];
                if (found < 0 || value > best || (value != value && best == best)) {
                    found = (int64)h * s.width + w;
                    best = value;
                }
            }
        index[p] = found;
    }
}
