// Products in tiles. What the matrices are, plain ones or windows of images, their types say:
//
//   A: Row, Row row(int r), T at(Row, int k), and ALONG_K: neighbouring entries lie along k
//   B: T at(int k, int n), and ALONG_K
//   C: void put(int r, int n, T value)
//
// A block computes BM × BN entries of the result, a thread TM × TN of them, side by side, in
// registers. The terms come through shared memory, BK at a time, from `first` to below `k`; those
// that come next are on their way from global memory while some are multiplied. (V. Volkov and
// J. Demmel, Benchmarking GPUs to tune dense linear algebra, 2008.)
#pragma once

// Entries that lie side by side, which are read at once.
template <class T, int N> struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Several {
    T at[N];
};

template <class T, int BM, int BN, int BK, int TM, int TN, class A, class B, class C>
INLINE void tile_product(const A& a, const B& b, const C& c, int m, int n, int first, int k) {
    constexpr int ROWS = BM / TM, COLUMNS = BN / TN, THREADS = ROWS * COLUMNS;
    constexpr int LEFT = (BM * BK + THREADS - 1) / THREADS;
    constexpr int RIGHT = (BN * BK + THREADS - 1) / THREADS;
    constexpr int PAD = 16 / sizeof(T);  // rows begin where several entries can be read at once
    alignas(16) __shared__ T left[BK][BM + PAD];
    alignas(16) __shared__ T right[BK][BN + PAD];
    const int column = threadIdx.x % COLUMNS * TN, row = threadIdx.x / COLUMNS * TM;
    const int first_row = blockIdx.y * BM, first_column = blockIdx.x * BN;

    // What this thread fetches of A lies in rows that stay the same.
    typename A::Row rows[LEFT];
#pragma unroll
    for (int j = 0; j < LEFT; ++j) {
        const int i = threadIdx.x + j * THREADS;
        const int r = first_row + (A::ALONG_K ? i / BK : i % BM);
        rows[j] = a.row(r < m ? r : m - 1);
    }
    T sums[TM][TN], from_a[LEFT], from_b[RIGHT];
#pragma unroll
    for (int i = 0; i < TM; ++i)
#pragma unroll
        for (int j = 0; j < TN; ++j) sums[i][j] = T(0);

    const auto fetch = [&](int start) {
#pragma unroll
        for (int j = 0; j < LEFT; ++j) {
            const int i = threadIdx.x + j * THREADS;
            const int r = A::ALONG_K ? i / BK : i % BM, t = A::ALONG_K ? i % BK : i / BM;
            const bool inside = i < BM * BK && first_row + r < m && start + t < k;
            from_a[j] = inside ? a.at(rows[j], start + t) : T(0);
        }
#pragma unroll
        for (int j = 0; j < RIGHT; ++j) {
            const int i = threadIdx.x + j * THREADS;
            const int s = B::ALONG_K ? i / BK : i % BN, t = B::ALONG_K ? i % BK : i / BN;
            const bool inside = i < BN * BK && first_column + s < n && start + t < k;
            from_b[j] = inside ? b.at(start + t, first_column + s) : T(0);
        }
    };
    fetch(first);
    for (int start = first; start < k; start += BK) {
#pragma unroll
        for (int j = 0; j < LEFT; ++j) {
            const int i = threadIdx.x + j * THREADS;
            const int r = A::ALONG_K ? i / BK : i % BM, t = A::ALONG_K ? i % BK : i / BM;
            if (i < BM * BK) left[t][r] = from_a[j];
        }
#pragma unroll
        for (int j = 0; j < RIGHT; ++j) {
            const int i = threadIdx.x + j * THREADS;
            const int s = B::ALONG_K ? i / BK : i % BN, t = B::ALONG_K ? i % BK : i / BN;
            if (i < BN * BK) right[t][s] = from_b[j];
        }
        __syncthreads();
        if (start + BK < k) fetch(start + BK);
#pragma unroll
        for (int t = 0; t < BK; ++t) {
            const auto x = reinterpret_cast<const Several<T, TM>&>(left[t][row]);
            const auto y = reinterpret_cast<const Several<T, TN>&>(right[t][column]);
#pragma unroll
            for (int i = 0; i < TM; ++i)
#pragma unroll
                for (int j = 0; j < TN; ++j) sums[i][j] += x.at[i] * y.at[j];
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < TM; ++i)
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            const int r = first_row + row + i, s = first_column + column + j;
            if (r < m && s < n) c.put(r, s, sums[i][j]);
        }
}

// A matrix by its strides.
template <class T, int64 ROW, int64 TERM> struct Left {
    typedef const T* Row;
    static constexpr bool ALONG_K = TERM == 1;
    const T* p;
    INLINE Row row(int r) const { return p + r * ROW; }
    INLINE T at(Row row, int k) const { return row[k * TERM]; }
};
template <class T, int64 TERM, int64 COLUMN> struct Right {
    static constexpr bool ALONG_K = TERM == 1 && COLUMN != 1;
    const T* p;
    INLINE T at(int k, int n) const { return p[k * TERM + n * COLUMN]; }
};
template <class T, int64 ROW, bool ADD> struct Result {
    T* p;
    INLINE void put(int r, int n, T x) const {
        T& place = p[r * ROW + n];
        place = ADD ? place + x : x;
    }
};

// Windows of images. A table has for each row of a group of images: entries to where its window
// begins, the window's row and column, and entries to where the row's result lies. Taps are the
// places of a window: rows and columns from its beginning, the same in entries, and entries to
// their weights. What lies beside an image is 0.
struct WindowRow {
    int64 begin;
    int down, right;
};

template <class T, class G> struct Windows {
    typedef WindowRow Row;
    static constexpr bool ALONG_K = G::CHANNEL == 1;
    const T* images;
    const int* table;
    INLINE Row row(int r) const {
        const int* entry = table + 4 * (r % G::ROWS);
        return {r / G::ROWS * G::GROUP + entry[0], entry[1], entry[2]};
    }
    INLINE T at(Row row, int k) const { return entry(row, G::tap(k / G::CHANNELS), k % G::CHANNELS); }
    INLINE T entry(Row row, const int* tap, int channel) const {
        const unsigned down = row.down + tap[0], right = row.right + tap[1];
        if (down >= G::HEIGHT || right >= G::WIDTH) return T(0);
        return images[row.begin + tap[2] + channel * G::CHANNEL];
    }
};
template <class T, class G, int64 TERM> struct Filters {
    static constexpr bool ALONG_K = false;
    const T* p;
    INLINE T at(int k, int n) const {
        return p[G::tap(k / G::CHANNELS)[3] + k % G::CHANNELS * TERM + n];
    }
};
// Rows of a result, or of its gradient, where the table says.
template <class T, class G, int64 GROUP> struct TableRows {
    T* p;
    const int* table;
    INLINE T* row(int r) const { return p + r / G::ROWS * GROUP + table[4 * (r % G::ROWS) + 3]; }
    INLINE void put(int r, int n, T x) const { row(r)[n] = x; }
    static constexpr bool ALONG_K = false;
    INLINE T at(int k, int n) const { return row(k)[n]; }
};
// Windows the other way round: rows are taps and channels, terms are windows.
template <class T, class G> struct TurnedWindows {
    struct Row {
        const int* tap;
        int channel;
    };
    static constexpr bool ALONG_K = false;
    Windows<T, G> windows;
    INLINE Row row(int r) const { return {G::tap(r / G::CHANNELS), r % G::CHANNELS}; }
    INLINE T at(Row row, int k) const {
        return windows.entry(windows.row(k), row.tap, row.channel);
    }
};
