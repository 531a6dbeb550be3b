// Special functions, elementwise: computed in double, rounded to `real`. The formulas are those of
// kernels/cpu/special.py, whose coefficients stand in front of this file.

#define PI 3.14159265358979323846
#define INFINITE __longlong_as_double(0x7ff0000000000000LL)
#define NOT_A_NUMBER __longlong_as_double(0x7ff8000000000000LL)

// Halley's iteration from Winitzki's approximation, which is off by 0.2 % at most.
INLINE double erf_inverse(double y) {
    const double size = fabs(y), root_pi = sqrt(PI);
    if (!(size < 1)) return size == 1 ? copysign(INFINITE, y) : NOT_A_NUMBER;
    const double tail = 1 - size;
    double x = 0.5 * root_pi * size;
    if (size > 0.1) {
        const double logarithm = log(tail * (1 + size));
        const double half = 2 / (PI * 0.147) + 0.5 * logarithm;
        x = sqrt(sqrt(half * half - logarithm / 0.147) - half);
    }
    for (int round = 0; round < 3; ++round) {
        // In the tail on erfc, where erf has no digits left; there 1 - |y| is exact.
        const double error = tail > 0.5 ? erf(x) - size : tail - erfc(x);
        const double step = error * 0.5 * root_pi * exp(x * x);
        x -= step / (1 + x * step);
    }
    return copysign(x, y);
}

// cot(πx), with the period removed exactly and full accuracy near the zeros.
INLINE double cot_pi(double x) {
    const double r = x - floor(x + 0.5);
    if (fabs(r) < 0.25) return 1 / tan(PI * r);
    return copysign(tan(PI * (0.5 - fabs(r))), r);
}

// Recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18).
INLINE double psi(double x) {
    if (x == 0) return -copysign(INFINITE, x);
    if (x < 0 && x == floor(x)) return NOT_A_NUMBER;
    const double offset = (x - DIGAMMA_ROOT[0]) - DIGAMMA_ROOT_REST[0];
    double series = 0;
    if (fabs(offset) < 0.25) {
        for (const double coefficient : DIGAMMA_AT_ROOT) series = series * offset + coefficient;
        return series * offset;
    }
    double result = 0;
    if (x < 0) {
        result = -PI * cot_pi(x);
        x = 1 - x;
    }
    for (; x < 10; ++x) result -= 1 / x;
    for (const double coefficient : DIGAMMA_AT_INFINITY) series = (series + coefficient) / (x * x);
    return result + (log(x) - 0.5 / x - series);
}

// n! ζ(n + 1, x) for x > 0, by Euler-Maclaurin summation from the first large term onwards, in
// units of n!/xⁿ⁺¹, its first term, so that no factor overflows before the result does.
INLINE double scaled_zeta(int n, double x) {
    if (x == INFINITE) return 0;
    double first = 1 / x;
    for (int k = 1; k <= n; ++k) first *= k / x;
    double end = x, total = 0;
    for (; end < 10 + 0.5 * n; ++end) total += pow(x / end, (double)(n + 1));
    double tail = end / n + 0.5, factor = (n + 1) / end;
    int k = 0;
    for (const double coefficient : EULER_MACLAURIN) {
        tail += coefficient * factor;
        factor *= (n + 2. * k + 2) * (n + 2. * k + 3) / (end * end);
        ++k;
    }
    return first * (total + pow(x / end, (double)(n + 1)) * tail);
}

// (-1)ⁿ⁺¹ n! ζ(n + 1, x), with the reflection formula left of 0 (A&S 6.4.7, 6.4.10).
INLINE double psi_derivative(int n, double x, const double* polynomial) {
    const double sign = n % 2 == 1 ? 1. : -1.;
    if (x == 0) return sign > 0 ? INFINITE : -copysign(INFINITE, x);
    if (x > 0 || x != x) return sign * scaled_zeta(n, x);
    if (x == floor(x)) return sign > 0 ? INFINITE : NOT_A_NUMBER;
    const double cotangent = cot_pi(x);
    double reflected = 0;
    for (int k = n + 1; k >= 0; --k) reflected = reflected * cotangent + polynomial[k];
    return -scaled_zeta(n, 1 - x) - pow(PI, (double)(n + 1)) * reflected;
}

#define PARAMETERS const real *x, real *out, int64 size, int64 order, const double *polynomial
#define EACH(VALUE)                                                            \
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < size;     \
         i += (int64)gridDim.x * blockDim.x) {                                 \
        const double z = x[i];                                                 \
        out[i] = (real)(VALUE);                                                \
    }

// `order` and the coefficients of `polynomial` are for the last one; see `cotangent_derivative`.
extern "C" __global__ void erf_each(PARAMETERS) { EACH(erf(z)) }
extern "C" __global__ void erfc_each(PARAMETERS) { EACH(erfc(z)) }
extern "C" __global__ void erfinv_each(PARAMETERS) { EACH(erf_inverse(z)) }
extern "C" __global__ void lgamma_each(PARAMETERS) { EACH(lgamma(z)) }
extern "C" __global__ void digamma_each(PARAMETERS) { EACH(psi(z)) }
extern "C" __global__ void polygamma_each(PARAMETERS) {
    EACH(psi_derivative((int)order, z, polynomial))
}
