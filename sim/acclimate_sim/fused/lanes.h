// Vectors of robots: one lane each. GCC and Clang turn them into whatever the processor has.
#include <new>

#if defined(__AVX512F__)
#define LANES 16
#else
#define LANES 8
#endif

typedef float V __attribute__((vector_size(4 * LANES)));
typedef int M __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

INLINE V all(float x) { return V{} + x; }
INLINE V load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
INLINE void store(float* p, V x) { *reinterpret_cast<Unaligned*>(p) = x; }

// One number of every robot, wherever it lies: block b of LANES robots begins at first + b * block.
struct Row {
  float* first;
  long lane, block;
};

// Numbers of robots that lie alike: the next one a column further.
struct Leaf {
  float* first;
  long lane, block, column, width;
};

static void spread(const Leaf* leaves, Row* rows, long count) {
  for (const Row* end = rows + count; rows < end; leaves++)
    for (long i = 0; i < leaves->width; i++)
      *rows++ = {leaves->first + i * leaves->column, leaves->lane, leaves->block};
}

// WHOLE blocks hold LANES robots; of others the first `count` exist, and the last of them fills up.
template <bool WHOLE>
INLINE V gather(const Row& row, long block, long count) {
  const float* p = row.first + block * row.block;
  if (row.lane == 0) return all(*p);
  if (WHOLE && row.lane == 1) return load(p);
  V v;
  for (long i = 0; i < LANES; i++) v[i] = p[(WHOLE || i < count ? i : count - 1) * row.lane];
  return v;
}

template <bool WHOLE>
INLINE void scatter(const Row& row, long block, long count, V v) {
  float* p = row.first + block * row.block;
  if (WHOLE && row.lane == 1) return store(p, v);
  for (long i = 0; i < (WHOLE ? LANES : count); i++) p[i * row.lane] = v[i];
}

// Comparisons with what is not a number are false: such an `a` comes through all of these.
INLINE V select(M mask, V a, V b) { return mask ? a : b; }
INLINE V maximum(V a, V b) { return a < b ? b : a; }
INLINE V minimum(V a, V b) { return b < a ? b : a; }
INLINE V absolute(V a) { return (V)((M)a & 0x7fffffff); }

INLINE V square_root(V a) {
  V root;
  for (int i = 0; i < LANES; i++) root[i] = __builtin_sqrtf(a[i]);
  return root;
}

// exp(x) = 2^n exp(r) with |r| <= ln(2) / 2, Taylor's series of degree 7: error below 2e-7.
INLINE V exponential(V x) {
  x = minimum(maximum(x, all(-87.0f)), all(88.0f));
  V n = x * 1.44269504f + 12582912.0f;  // adding 1.5 * 2^23 rounds to an integer
  M bits = (M)n;
  n = n - 12582912.0f;
  V r = x - n * 0.693145752f;
  r = r - n * 1.42860677e-6f;
  V p = all(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * (V)((bits + 127) << 23);
}

// log(2^n m) = n ln(2) + 2 artanh((m - 1) / (m + 1)) with m between sqrt(1/2) and sqrt(2).
INLINE V logarithm(V x) {
  M n = ((M)x - 0x3f3504f3) >> 23;
  V m = (V)((M)x - (n << 23)), s = (m - 1.0f) / (m + 1.0f), z = s * s;
  V p = all(2.0f / 9.0f);
  p = p * z + 2.0f / 7.0f;
  p = p * z + 0.4f;
  p = p * z + 2.0f / 3.0f;
  p = p * z + 2.0f;
  V log = __builtin_convertvector(n, V) * 0.693147181f + s * p;
  return x > 0.0f ? log : (x == 0.0f ? all(-__builtin_inff()) : all(__builtin_nanf("")));
}

INLINE V sigmoid(V x) { return 1.0f / (1.0f + exponential(-x)); }

// Near zero the continued fraction of tanh, elsewhere 1 - 2 / (exp(2 x) + 1): no cancellation.
INLINE V hyperbolic_tangent(V x) {
  V a = absolute(x), z = x * x;
  V near_zero = x * (z * (z * (z + 378.0f) + 17325.0f) + 135135.0f) /
                (z * (z * (z * 28.0f + 3150.0f) + 62370.0f) + 135135.0f);
  V far = 1.0f - 2.0f / (exponential(2.0f * a) + 1.0f);
  far = x < 0.0f ? -far : far;
  return a < 1.0f ? near_zero : far;
}

// log(1 + exp(x)), by the series of log(1 + e) = 2 artanh(e / (2 + e)) for e = exp(-|x|) <= 1.
INLINE V softplus(V x) {
  V e = exponential(-absolute(x)), s = e / (2.0f + e), z = s * s;
  V p = all(1.0f / 15.0f);
  p = p * z + 1.0f / 13.0f;
  p = p * z + 1.0f / 11.0f;
  p = p * z + 1.0f / 9.0f;
  p = p * z + 1.0f / 7.0f;
  p = p * z + 0.2f;
  p = p * z + 1.0f / 3.0f;
  p = p * z + 1.0f;
  return maximum(x, all(0.0f)) + 2.0f * s * p;
}

// y[h] = sum over k of x[k] w[h * ROW + k * COLUMN], eight rows at once to hide the latency.
template <int HEIGHT, int WIDTH, int ROW, int COLUMN>
INLINE void product(const V* x, const float* w, V* y) {
  constexpr int BLOCK = 8;
  int h = 0;
  for (; h + BLOCK <= HEIGHT; h += BLOCK) {
    V sum[BLOCK] = {};
    for (int k = 0; k < WIDTH; k++)
      for (int i = 0; i < BLOCK; i++) sum[i] += x[k] * w[(h + i) * ROW + k * COLUMN];
    for (int i = 0; i < BLOCK; i++) y[h + i] = sum[i];
  }
  for (; h < HEIGHT; h++) {
    V sum = {};
    for (int k = 0; k < WIDTH; k++) sum += x[k] * w[h * ROW + k * COLUMN];
    y[h] = sum;
  }
}

// Outer products of several steps, added to the sums together: a sum is fetched once for all of them.
template <int HEIGHT, int WIDTH>
struct Outer {
  static constexpr int STEPS = 8;
  V rows[STEPS][HEIGHT], columns[STEPS][WIDTH];
  int filled = 0;

  void add(const V* row, const V* column, V* sums) {
    for (int i = 0; i < HEIGHT; i++) rows[filled][i] = row[i];
    for (int j = 0; j < WIDTH; j++) columns[filled][j] = column[j];
    if (++filled == STEPS) flush(sums);
  }

  void flush(V* sums) {
    constexpr int BLOCK = 4;
    for (int i = 0; i < HEIGHT; i++) {
      int j = 0;
      for (; j + BLOCK <= WIDTH; j += BLOCK) {
        V* s = sums + i * WIDTH + j;
        V s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3];
        for (int k = 0; k < filled; k++) {
          const V row = rows[k][i], *c = columns[k] + j;
          s0 += row * c[0], s1 += row * c[1], s2 += row * c[2], s3 += row * c[3];
        }
        s[0] = s0, s[1] = s1, s[2] = s2, s[3] = s3;
      }
      for (; j < WIDTH; j++)
        for (int k = 0; k < filled; k++) sums[i * WIDTH + j] += rows[k][i] * columns[k][j];
    }
    filled = 0;
  }
};
