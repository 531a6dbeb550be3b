// Products in tiles. What the matrices are, plain ones or windows of images, their types say:
//
//   A: Row row(int r), Term term(int k), const T* place(Row, Term); ALONG_K: neighbouring entries
//      lie along k, else along rows; SEVERAL: so many of them lie side by side, aligned
//   B: Term term(int k), const T* place(Term, int n); ALONG_K, where they do not lie along n; SEVERAL
//   C: void put(int r, int n, T value)
//
// A place that is null holds zeros. A block computes BM × BN entries of the result, a thread
// TM × TN of them in registers, or a warp a part of them by tensor cores. The terms come through shared memory, BK at a time, from `first` to
// below `k`; those of the next STAGES - 1 times are on their way from global memory while some are
// multiplied, without passing through registers. (V. Volkov and J. Demmel, Benchmarking GPUs to tune
// dense linear algebra, 2008; NVIDIA, Controlling data movement to boost performance on the Ampere
// architecture, 2020.)
#pragma once

constexpr int STAGES = 3;

#ifndef HOST_SHIM
// Copies BYTES from global to shared memory, at some time before `wait_copies`: `given` of them are
// read, the rest is 0.
template <int BYTES> INLINE void copy_async(void* to, const void* from, int given) {
    const unsigned there = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(there), "l"(from), "n"(BYTES),
                 "r"(given)
                 : "memory");
}
// Ends a group of copies.
INLINE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until all groups of this thread but the last LEFT are done.
template <int LEFT> INLINE void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}
// The nearest number of 11 bits.
INLINE float to_tf32(float x) {
    unsigned found;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(found) : "f"(x));
    return __uint_as_float(found);
}
// c += a·b by a warp's threads together, of which each has these entries.
INLINE void multiply_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])),
                   "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
                   "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}
#endif

INLINE constexpr int at_most(int x, int most) { return x < most ? x : most; }
// The largest number, at most y, a power of 2, that divides both.
INLINE constexpr int common(int x, int y) { return x % y ? common(x, y / 2) : y; }

// How the tiles of a product lie in shared memory, and who fetches what and computes what.
template <class T, int BM, int BN, int BK, int TM, int TN, int PARTS, class A, class B>
struct Tiles {
    static constexpr int HEIGHT = BM, WIDTH = BN, DEPTH = BK, HIGH = TM, WIDE = TN;
    static constexpr int ROWS = BM / TM, COLUMNS = BN / TN, THREADS = ROWS * COLUMNS;
    static constexpr int SEVERAL = 16 / sizeof(T);  // entries that a thread reads at once
    static constexpr bool ALONG_K = A::ALONG_K;

    // Entries of A lie in shared memory as in global memory; those of B always along n. Lines are so
    // much longer that threads of a warp read different banks.
    static constexpr int PITCH_A = ALONG_K ? BK + SEVERAL : BM + (PARTS ? 8 : 0);
    static constexpr int PITCH_B = BN + (PARTS ? 8 : SEVERAL);
    static constexpr int SIZE_A = PITCH_A * (ALONG_K ? BM : BK), SIZE_B = PITCH_B * BK;

    // Chunks of several entries, dealt out to threads in turn.
    static constexpr int LINE_A = (A::ALONG_K ? BK : BM) / A::SEVERAL;
    static constexpr int LINE_B = (B::ALONG_K ? BK : BN) / B::SEVERAL;
    static constexpr int CHUNKS_A = BM * BK / A::SEVERAL, CHUNKS_B = BN * BK / B::SEVERAL;
    static constexpr int EACH_A = (CHUNKS_A + THREADS - 1) / THREADS;
    static constexpr int EACH_B = (CHUNKS_B + THREADS - 1) / THREADS;
    // All chunks of a thread are of one row (of A along k: of one term), where threads fill lines.
    static constexpr int ROWS_A = A::ALONG_K || THREADS % LINE_A ? EACH_A : 1;
    static constexpr int TERMS_A = !A::ALONG_K || THREADS % LINE_A ? EACH_A : 1;
    static constexpr int TERMS_B = !B::ALONG_K || THREADS % LINE_B ? EACH_B : 1;

    // Where the j-th chunk of a thread lies: row or column, and term.
    static INLINE int row_a(int me, int j) {
        const int i = me + j * THREADS;
        return A::ALONG_K ? i / LINE_A : i % LINE_A * A::SEVERAL;
    }
    static INLINE int term_a(int me, int j) {
        const int i = me + j * THREADS;
        return A::ALONG_K ? i % LINE_A * A::SEVERAL : i / LINE_A;
    }
    static INLINE int column_b(int me, int j) {
        const int i = me + j * THREADS;
        return B::ALONG_K ? i / LINE_B : i % LINE_B * B::SEVERAL;
    }
    static INLINE int term_b(int me, int j) {
        const int i = me + j * THREADS;
        return B::ALONG_K ? i % LINE_B * B::SEVERAL : i / LINE_B;
    }
};

// The part of a tile that a thread computes by itself, HIGH × WIDE entries.
template <class T, class L> struct ByThreads {
    static constexpr int ROWS = common(L::HIGH, L::SEVERAL), COLUMNS = common(L::WIDE, L::SEVERAL);
    static constexpr int TERMS = L::ALONG_K ? L::SEVERAL : 1;  // for which entries of A are read
    // The result leaves in so many passes of so many lines.
    static constexpr int PASSES = L::HIGH, LINES = L::ROWS;
    const int across = threadIdx.x % L::COLUMNS, down = threadIdx.x / L::COLUMNS;
    T sums[L::HIGH][L::WIDE];

    INLINE ByThreads() {
#pragma unroll
        for (int i = 0; i < L::HIGH; ++i)
#pragma unroll
            for (int j = 0; j < L::WIDE; ++j) sums[i][j] = T(0);
    }
    INLINE void multiply(const T* left, const T* right) {
#pragma unroll
        for (int t = 0; t < L::DEPTH; t += TERMS) {
            T x[L::HIGH][TERMS], y[L::WIDE];
            if (L::ALONG_K) {
#pragma unroll
                for (int i = 0; i < L::HIGH; ++i) {
                    const auto some = reinterpret_cast<const Several<T, TERMS>&>(
                        left[row_of(down, i) * L::PITCH_A + t]);
#pragma unroll
                    for (int u = 0; u < TERMS; ++u) x[i][u] = some.at[u];
                }
            } else {
#pragma unroll
                for (int i = 0; i < L::HIGH; i += ROWS) {
                    const auto some = reinterpret_cast<const Several<T, ROWS>&>(
                        left[t * L::PITCH_A + row_of(down, i)]);
#pragma unroll
                    for (int u = 0; u < ROWS; ++u) x[i + u][0] = some.at[u];
                }
            }
#pragma unroll
            for (int u = 0; u < TERMS; ++u) {
#pragma unroll
                for (int j = 0; j < L::WIDE; j += COLUMNS) {
                    const auto some = reinterpret_cast<const Several<T, COLUMNS>&>(
                        right[(t + u) * L::PITCH_B + column_of(across, j)]);
#pragma unroll
                    for (int v = 0; v < COLUMNS; ++v) y[j + v] = some.at[v];
                }
#pragma unroll
                for (int i = 0; i < L::HIGH; ++i)
#pragma unroll
                    for (int j = 0; j < L::WIDE; ++j) sums[i][j] += x[i][u] * y[j];
            }
        }
    }
    // Writes this thread's entries of a pass.
    INLINE void leave(T* memory, int pass) const {
#pragma unroll
        for (int j = 0; j < L::WIDE; ++j)
            memory[down * L::PITCH_B + column_of(across, j)] = sums[pass][j];
    }
    // The row of the tile that a line of a pass is.
    static INLINE int row_of(int line, int pass) {
        if (L::ALONG_K) return line + pass * L::ROWS;
        return pass / ROWS * ROWS * L::ROWS + line * ROWS + pass % ROWS;
    }
    static INLINE int column_of(int thread, int j) {
        return j / COLUMNS * COLUMNS * L::COLUMNS + thread * COLUMNS + j % COLUMNS;
    }
};

// The part of a tile that a warp computes by tensor cores: M × N products of 16×8 by 8×8, each of
// whose entries lies in a certain thread (PTX ISA, mma.m16n8k8). Factors are rounded to 11 bits; or,
// in three PARTS, each is a sum of two such numbers, and all but the product of the small ones are
// added up, which is as exact as float32 (S. Markidis et al., NVIDIA tensor core programmability,
// performance & precision, 2018).
template <class L, int PARTS> struct ByWarps {
    static constexpr int WARPS = L::THREADS / WARP, DOWN = common(L::HEIGHT / 16, WARPS);
    static constexpr int ACROSS = WARPS / DOWN;
    static constexpr int M = L::HEIGHT / 16 / DOWN, N = L::WIDTH / 8 / ACROSS;
    static constexpr int PASSES = M, LINES = 16 * DOWN;
    const int down = threadIdx.x / WARP % DOWN, across = threadIdx.x / WARP / DOWN;
    const int group = threadIdx.x % WARP / 4, place = threadIdx.x % 4;
    float sums[M][N][4];

    INLINE ByWarps() {
#pragma unroll
        for (int i = 0; i < M; ++i)
#pragma unroll
            for (int j = 0; j < N; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e) sums[i][j][e] = 0.f;
    }
    INLINE void multiply(const float* left, const float* right) {
#pragma unroll
        for (int t = 0; t < L::DEPTH; t += 8) {
            float y[N][2], rest_y[N][2];
#pragma unroll
            for (int j = 0; j < N; ++j)
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    const int column = (across * N + j) * 8 + group;
                    const float b = right[(t + place + 4 * e) * L::PITCH_B + column];
                    y[j][e] = to_tf32(b);
                    rest_y[j][e] = PARTS == 3 ? to_tf32(b - y[j][e]) : 0.f;
                }
#pragma unroll
            for (int i = 0; i < M; ++i) {
                float x[4], rest[4];
#pragma unroll
                for (int e = 0; e < 4; ++e) {
                    const int row = (down * M + i) * 16 + group + e % 2 * 8;
                    const int term = t + place + e / 2 * 4;
                    const float a =
                        left[L::ALONG_K ? row * L::PITCH_A + term : term * L::PITCH_A + row];
                    x[e] = to_tf32(a);
                    rest[e] = PARTS == 3 ? to_tf32(a - x[e]) : 0.f;
                }
#pragma unroll
                for (int j = 0; j < N; ++j) {
                    if (PARTS == 3) {
                        multiply_tf32(sums[i][j], rest, y[j]);
                        multiply_tf32(sums[i][j], x, rest_y[j]);
                    }
                    multiply_tf32(sums[i][j], x, y[j]);
                }
            }
        }
    }
    INLINE void leave(float* memory, int pass) const {
#pragma unroll
        for (int j = 0; j < N; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int line = down * 16 + group + e / 2 * 8;
                const int column = (across * N + j) * 8 + place * 2 + e % 2;
                memory[line * L::PITCH_B + column] = sums[pass][j][e];
            }
    }
    static INLINE int row_of(int line, int pass) {
        return (line / 16 * M + pass) * 16 + line % 16;
    }
};

// By threads where PARTS is 0.
template <class T, class L, int PARTS> struct Arithmetic {
    typedef ByWarps<L, PARTS> type;
};
template <class T, class L> struct Arithmetic<T, L, 0> {
    typedef ByThreads<T, L> type;
};

// Copies a chunk, of which `left` entries exist, if it has a place.
template <class T, int N> INLINE void fetch_chunk(T* to, const T* from, const T* any, int left) {
    const int given = from ? at_most(left, N) * int(sizeof(T)) : 0;
    copy_async<N * sizeof(T)>(to, from ? from : any, given);
}

template <class T, int BM, int BN, int BK, int TM, int TN, int PARTS, class A, class B, class C>
INLINE void tile_product(const A& a, const B& b, const C& c, int m, int n, int first, int k) {
    using L = Tiles<T, BM, BN, BK, TM, TN, PARTS, A, B>;
    using Entries = typename Arithmetic<T, L, PARTS>::type;
    constexpr int TERMS = STAGES * (L::SIZE_A + L::SIZE_B), OUT = Entries::LINES * L::PITCH_B;
    alignas(16) __shared__ T memory[TERMS > OUT ? TERMS : OUT];
    const int me = threadIdx.x;
    const int first_row = blockIdx.y * BM, first_column = blockIdx.x * BN;

    typename A::Row rows[L::ROWS_A];
    typename A::Term terms_a[L::TERMS_A];
    typename B::Term terms_b[L::TERMS_B];
#pragma unroll
    for (int j = 0; j < L::ROWS_A; ++j)
        rows[j] = a.row(at_most(first_row + L::row_a(me, j), m - 1));

    // What is read on the way to the terms from `start` on.
    const auto look = [&](int start) {
#pragma unroll
        for (int j = 0; j < L::TERMS_A; ++j)
            terms_a[j] = a.term(at_most(start + L::term_a(me, j), k - 1));
#pragma unroll
        for (int j = 0; j < L::TERMS_B; ++j)
            terms_b[j] = b.term(at_most(start + L::term_b(me, j), k - 1));
    };
    const auto fetch = [&](int stage, int start) {
        T* left = memory + stage * L::SIZE_A;
#pragma unroll
        for (int j = 0; j < L::EACH_A; ++j) {
            if (L::CHUNKS_A % L::THREADS && me + j * L::THREADS >= L::CHUNKS_A) continue;
            const int r = L::row_a(me, j), t = L::term_a(me, j);
            const int more_rows = m - first_row - r, more_terms = k - start - t;
            const T* from = more_rows > 0 && more_terms > 0
                                ? a.place(rows[L::ROWS_A > 1 ? j : 0], terms_a[L::TERMS_A > 1 ? j : 0])
                                : nullptr;
            T* to = left + (A::ALONG_K ? r * L::PITCH_A + t : t * L::PITCH_A + r);
            fetch_chunk<T, A::SEVERAL>(to, from, a.any(), A::ALONG_K ? more_terms : more_rows);
        }
        T* right = memory + STAGES * L::SIZE_A + stage * L::SIZE_B;
#pragma unroll
        for (int j = 0; j < L::EACH_B; ++j) {
            if (L::CHUNKS_B % L::THREADS && me + j * L::THREADS >= L::CHUNKS_B) continue;
            const int s = L::column_b(me, j), t = L::term_b(me, j);
            const int more_columns = n - first_column - s;
            const T* from = more_columns > 0 && start + t < k
                                ? b.place(terms_b[L::TERMS_B > 1 ? j : 0], first_column + s)
                                : nullptr;
            fetch_chunk<T, B::SEVERAL>(right + t * L::PITCH_B + s, from, b.p, more_columns);
        }
    };
    Entries entries;

    int fetched = first;
    look(fetched);
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (fetched < k) fetch(stage, fetched);
        commit_copies();
        fetched += BK;
        if (fetched < k) look(fetched);
    }
    int stage = 0, next = STAGES - 1;
    for (int start = first; start < k; start += BK) {
        wait_copies<STAGES - 2>();
        __syncthreads();  // all threads' copies are there; and all are done with the stage before
        if (fetched < k) fetch(next, fetched);
        commit_copies();
        fetched += BK;
        if (fetched < k) look(fetched);
        entries.multiply(memory + stage * L::SIZE_A,
                         memory + STAGES * L::SIZE_A + stage * L::SIZE_B);
        stage = stage == STAGES - 1 ? 0 : stage + 1;
        next = next == STAGES - 1 ? 0 : next + 1;
    }

    // The result, by way of shared memory, so that neighbouring threads write neighbouring entries.
    wait_copies<0>();
#pragma unroll
    for (int pass = 0; pass < Entries::PASSES; ++pass) {
        __syncthreads();
        entries.leave(memory, pass);
        __syncthreads();
        for (int e = me; e < Entries::LINES * BN; e += L::THREADS) {
            const int r = first_row + Entries::row_of(e / BN, pass), s = first_column + e % BN;
            if (r < m && s < n) c.put(r, s, memory[e / BN * L::PITCH_B + e % BN]);
        }
    }
}

// A matrix by its strides.
template <class T, int64 ROW, int64 TERM, int N> struct Left {
    typedef int64 Row;
    typedef int64 Term;
    static constexpr bool ALONG_K = TERM == 1;
    static constexpr int SEVERAL = N;
    const T* p;
    INLINE Row row(int r) const { return r * ROW; }
    INLINE Term term(int k) const { return k * TERM; }
    INLINE const T* place(Row row, Term term) const { return p + row + term; }
    INLINE const T* any() const { return p; }
};
template <class T, int64 TERM, int64 COLUMN, int N> struct Right {
    typedef int64 Term;
    static constexpr bool ALONG_K = TERM == 1 && COLUMN != 1;
    static constexpr int SEVERAL = N;
    const T* p;
    INLINE Term term(int k) const { return k * TERM; }
    INLINE const T* place(Term term, int n) const { return p + term + n * COLUMN; }
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

// Where the channels of pixels lie side by side, several of them are read at once; else
// neighbouring windows are fetched by neighbouring threads.
template <class T, class G, int N> struct Windows {
    typedef WindowRow Row;
    typedef int Term;
    static constexpr bool ALONG_K = N > 1;
    static constexpr int SEVERAL = N;
    const T* images;
    const int* table;
    INLINE Row row(int r) const {
        const int* entry = table + 4 * (r % G::ROWS);
        return {r / G::ROWS * G::GROUP + entry[0], entry[1], entry[2]};
    }
    INLINE Term term(int k) const { return k; }
    INLINE const T* place(Row row, Term k) const {
        return entry(row, G::tap(k / G::CHANNELS), k % G::CHANNELS);
    }
    INLINE const T* entry(Row row, const int* tap, int channel) const {
        const unsigned down = row.down + tap[0], right = row.right + tap[1];
        if (down >= G::HEIGHT || right >= G::WIDTH) return nullptr;
        return images + row.begin + tap[2] + channel * G::CHANNEL;
    }
    INLINE const T* any() const { return images; }
};
template <class T, class G, int64 TERM, int N> struct Filters {
    typedef int64 Term;
    static constexpr bool ALONG_K = false;
    static constexpr int SEVERAL = N;
    const T* p;
    INLINE Term term(int k) const {
        return G::tap(k / G::CHANNELS)[3] + k % G::CHANNELS * TERM;
    }
    INLINE const T* place(Term term, int n) const { return p + term + n; }
};
// Rows of a result, or of its gradient, where the table says.
template <class T, class G, int64 GROUP, int N> struct TableRows {
    typedef int64 Term;
    static constexpr bool ALONG_K = false;
    static constexpr int SEVERAL = N;
    T* p;
    const int* table;
    INLINE Term term(int r) const { return r / G::ROWS * GROUP + table[4 * (r % G::ROWS) + 3]; }
    INLINE const T* place(Term term, int n) const { return p + term + n; }
    INLINE void put(int r, int n, T x) const { p[term(r) + n] = x; }
};
// Windows the other way round: rows are taps and channels, terms are windows.
template <class T, class G, int N> struct TurnedWindows {
    struct Row {
        int tap[3], channel;
    };
    typedef WindowRow Term;
    static constexpr bool ALONG_K = false;
    static constexpr int SEVERAL = N;
    Windows<T, G, N> windows;
    INLINE Row row(int r) const {
        const int* tap = G::tap(r / G::CHANNELS);
        return {{tap[0], tap[1], tap[2]}, r % G::CHANNELS};
    }
    INLINE Term term(int k) const { return windows.row(k); }
    INLINE const T* place(Row row, Term window) const {
        return windows.entry(window, row.tap, row.channel);
    }
    INLINE const T* any() const { return windows.images; }
};
