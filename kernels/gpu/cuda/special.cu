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
        if (fabs(step) < 1e-7 * x) break;  // the next one would be of its third power
    }
    return copysign(x, y);
}

// Wide numbers are unevaluated sums of two doubles, a rounded value and its rest: 106 bits. Sums and
// products whose rounding is computed must not be fused into one operation.
struct Wide {
    double high, low;
};

// a + b (Knuth, TAOCP 4.2.2, theorem B).
INLINE Wide exact_sum(double a, double b) {
    const double total = a + b, part = total - a;
    return {total, (a - (total - part)) + (b - part)};
}

INLINE Wide exact_product(double a, double b) {
    const double product = __dmul_rn(a, b);
    return {product, fma(a, b, -product)};
}

// high + low where |high| ≥ |low| (Dekker, Numer. Math. 18, 1971).
INLINE Wide normal(double high, double low) {
    const double total = high + low;
    return {total, low - (total - high)};
}

INLINE Wide operator-(Wide a) { return {-a.high, -a.low}; }

INLINE Wide operator+(Wide a, Wide b) {
    const Wide high = exact_sum(a.high, b.high), low = exact_sum(a.low, b.low);
    const Wide total = normal(high.high, high.low + low.high);
    return normal(total.high, total.low + low.low);
}

INLINE Wide operator*(Wide a, Wide b) {
    const Wide product = exact_product(a.high, b.high);
    return normal(product.high, product.low + (a.high * b.low + a.low * b.high));
}

// By a step of Newton's from the rounded one.
INLINE Wide wide_reciprocal(Wide a) {
    const double rounded = 1 / a.high;
    const Wide one = exact_product(rounded, a.high);
    return normal(rounded, rounded * ((1 - one.high) - one.low - rounded * a.low));
}

INLINE Wide wide_power(Wide a, int n) {
    Wide result = {1, 0};
    for (; n > 0; n /= 2) {
        if (n % 2 == 1) result = result * a;
        a = a * a;
    }
    return result;
}

// log((1 + s)/(1 - s)) for |s| < 0.172.
INLINE Wide wide_twice_artanh(Wide s) {
    const Wide square = s * s;
    double last = 0;  // beyond the digits of a double
    for (int k = 41; k > 21; k -= 2) last = last * square.high + 1. / k;
    Wide series = {last, 0};
    for (int k = 0; k < (int)(sizeof ARTANH / sizeof(Wide)); ++k)
        series = series * square + Wide{ARTANH[2 * k], ARTANH[2 * k + 1]};
    return Wide{2 * s.high, 2 * s.low} * series;
}

// With a = m 2ᵉ and s = (m - 1)/(m + 1): e log 2 + 2 artanh(s), by its power series.
INLINE Wide wide_log(Wide a) {
    int exponent;
    frexp(SQRT_HALF[0] * a.high, &exponent);
    const double scale = ldexp(1., -exponent);
    const Wide scaled = {scale * a.high, scale * a.low};
    const Wide s = (scaled + Wide{-1, 0}) * wide_reciprocal(scaled + Wide{1, 0});
    return Wide{LOG_2[0], LOG_2[1]} * Wide{(double)exponent, 0} + wide_twice_artanh(s);
}

// ζ(n + 1, x), or -ψ(x) for n = 0, for large x, by Euler-Maclaurin summation (A&S 23.1.30).
INLINE Wide wide_tail(int n, Wide x) {
    const Wide inverse = wide_reciprocal(x), square = inverse * inverse;
    Wide factor = inverse * Wide{n + 1., 0}, total = {0.5, 0};
    const int wide = sizeof WIDE_EULER_MACLAURIN / sizeof(Wide);
    const int count = sizeof EULER_MACLAURIN / sizeof(double);
    for (int k = 0; k < wide; ++k) {
        const Wide number = {WIDE_EULER_MACLAURIN[2 * k], WIDE_EULER_MACLAURIN[2 * k + 1]};
        total = total + number * factor;
        factor = factor * (square * Wide{(n + 2. * k + 2) * (n + 2. * k + 3), 0});
    }
    double last = 0, small = factor.high;
    for (int k = wide; k < count; ++k) {
        last += EULER_MACLAURIN[k] * small;
        small *= (n + 2. * k + 2) * (n + 2. * k + 3) * square.high;
    }
    total = total + Wide{last, 0};
    if (n == 0) return total * inverse + -wide_log(x);
    total = total + x * wide_reciprocal(Wide{(double)n, 0});
    return total * wide_power(inverse, n + 1);
}

// A sum in three parts, so that it does not round.
struct ExactSum {
    double high = 0, low = 0, least = 0;

    INLINE void add(Wide term) {
        const Wide first = exact_sum(high, term.high), second = exact_sum(low, first.low);
        const Wide third = exact_sum(second.high, term.low);
        high = first.high;
        low = third.high;
        least += second.low + third.low;
    }
};

// ζ(n + 1, x), or -ψ(x) for n = 0, for x < 0: the terms between -far and far, and sums of those
// beyond; the left ones are those of the positive numbers from 1 - first up to -x.
INLINE double wide_zeta(int n, double x) {
    const int far = 20 + n / 2;
    double first = x, k = 0;
    ExactSum total;
    if (x < -far) {
        first = x + floor(-far - x);
        const Wide near = wide_tail(n, exact_sum(1, -first));
        const Wide beyond = wide_tail(n, exact_sum(1, -x));
        total.add(n % 2 == 1 ? near : -near);
        total.add(n % 2 == 1 ? -beyond : beyond);
    }
    for (; first + k < far; ++k)
        total.add(wide_power(wide_reciprocal(exact_sum(first, k)), n + 1));
    total.add(wide_tail(n, exact_sum(first, k)));
    return total.high + (total.low + total.least);
}

// π cot(πx), with the period removed exactly, and the rounding of the angle made good.
INLINE double pi_cot_pi(double x) {
    const double r = x - floor(x + 0.5);
    const bool steep = fabs(r) < 0.25;
    const double turn = steep ? r : copysign(0.5 - fabs(r), r);
    const Wide angle = exact_product(PI, turn);
    double tangent = tan(angle.high);
    tangent += (angle.low + PI_REST[0] * turn) * (1 + tangent * tangent);
    return steep ? PI / tangent : PI * tangent;
}

// Recurrence to 1 … 2, or the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18).
INLINE double psi_right(double x) {
    double result = 0, series = 0;
    if (x >= 10 || x != x) {
        for (const double c : DIGAMMA_AT_INFINITY) series = (series + c) / (x * x);
        return log(x) - 0.5 / x - series;
    }
    while (x > 2) {
        x -= 1;
        result += 1 / x;
    }
    if (x < 1) {
        result -= 1 / x;
        x += 1;
    }
    for (const double c : DIGAMMA_FROM_ROOT) series = series * (2 * x - 3) + c;
    return result + ((x - DIGAMMA_ROOT[0]) - DIGAMMA_ROOT_REST[0]) * series;
}

// Left of 0 by reflection (Abramowitz & Stegun 6.3.7), in wide numbers where that cancels.
INLINE double psi(double x) {
    if (x == 0) return -copysign(INFINITE, x);
    if (!(x < 0)) return psi_right(x);
    if (x == floor(x)) return NOT_A_NUMBER;
    const Wide mirrored = exact_sum(1, -x);
    const double right = psi_right(mirrored.high) + mirrored.low / (mirrored.high - 0.5);
    const double cotangent = pi_cot_pi(x), value = right - cotangent;
    const bool cancels = fabs(value) < CANCELS[0] * (fabs(right) + fabs(cotangent));
    return cancels ? -wide_zeta(0, x) : value;
}

// (x + rest)⁻ⁿ, where the rounding of 1/x is made good.
INLINE double inverse_power(int n, double x, double rest) {
    const double inverse = 1 / x;
    const Wide one = exact_product(inverse, x);
    return pow(inverse, (double)n) * (1 + n * ((1 - one.high) - one.low - inverse * rest));
}

// xⁿ ζ(n + 1, x) for large x = 1/inverse.
INLINE double zeta_tail(int n, double inverse) {
    const double square = inverse * inverse;
    double total = 0, factor = (n + 1) * square;
    int k = 0;
    for (const double coefficient : EULER_MACLAURIN) {
        total += coefficient * factor;
        factor *= (n + 2. * k + 2) * (n + 2. * k + 3) * square;
        ++k;
    }
    return 1. / n + (0.5 * inverse + total);
}

// n! ζ(n + 1, x) for x > 0, by Euler-Maclaurin summation from the first large term onwards (A&S
// 23.1.30), such that no factor overflows or underflows before the result does.
INLINE double scaled_zeta(int n, double x) {
    if (x == INFINITE) return 0;
    const double far = 8 + 0.5 * n;
    if (x >= far) {
        int exponent;
        const double fraction = frexp(x, &exponent);
        const double scaled = FACTORIALS[n] * pow(fraction, -(double)n) * zeta_tail(n, 1 / x);
        return ldexp(scaled, -n * exponent);
    }
    double total = 0, k = 1;
    Wide end = exact_sum(x, k);
    while (end.high < far) {
        total += inverse_power(n + 1, end.high, end.low);
        k += 1;
        end = exact_sum(x, k);
    }
    total += inverse_power(n, end.high, end.low) * zeta_tail(n, 1 / end.high);
    return FACTORIALS[n] * (pow(x, -1. - n) + total);
}

INLINE double even_polynomial(const double* coefficients, int count, double x) {
    double total = 0;
    for (int k = 0; k < count; ++k) total = total * (x * x) + coefficients[k];
    return total;
}

// Σ 1/(k + r)ⁿ⁺¹ over all integers k, 0 < r ≤ ½; see `integer_series` in kernels/cpu/special.py.
INLINE double integer_sum(int n, double r, const double* series) {
    const Wide one_less = exact_sum(1, -r);
    const int count = (int)NEAR_COUNT[0];
    const double near = pow(r, -1. - n);
    const double beside = inverse_power(n + 1, one_less.high, one_less.low);
    if (n % 2 == 0 && beside > 0.45 * near)
        return (0.5 - r) * even_polynomial(series + count, (int)HALF_COUNT[0], 0.5 - r);
    const double others = even_polynomial(series, count, r);
    const double third = inverse_power(n + 1, 1 + r, 0);
    if (n % 2 == 1) return near + (beside + (third + others));
    return near - (beside - (third - r * others));
}

// n! ζ(n + 1, x) for x < 0, as the sum over all integers less that from 1 - x onwards; in wide
// numbers where these cancel, for even n.
INLINE double scaled_zeta_left(int n, double x, const double* series) {
    const double r = x - floor(x + 0.5);
    const Wide mirrored = exact_sum(1, -x);
    const double slope = (n + 0.5) / mirrored.high;  // roughly
    const double beyond = scaled_zeta(n, mirrored.high) * (1 - slope * mirrored.low);
    const double whole = FACTORIALS[n] * integer_sum(n, fabs(r), series);
    if (n % 2 == 1) return whole - beyond;
    const double value = copysign(whole, r) + beyond;
    const bool cancels = fabs(value) < CANCELS[0] * (whole + beyond);
    return cancels ? FACTORIALS[n] * wide_zeta(n, x) : value;
}

// (-1)ⁿ⁺¹ n! ζ(n + 1, x) (Abramowitz & Stegun 6.4.10).
INLINE double psi_derivative(int n, double x, const double* series) {
    const double sign = n % 2 == 1 ? 1. : -1.;
    if (x == 0) return sign > 0 ? INFINITE : -copysign(INFINITE, x);
    if (!(x < 0)) return sign * scaled_zeta(n, x);
    if (x == floor(x)) return sign > 0 ? INFINITE : NOT_A_NUMBER;
    return sign * scaled_zeta_left(n, x, series);
}

// x⁻ᵐ - (x + y)⁻ᵐ, as (1/x - 1/(x + y)) Σ x⁻ᵏ (x + y)^(k + 1 - m).
INLINE double power_drop(int m, double x, double y) {
    const double p = 1 / x, q = 1 / (x + y);
    double total = 0, power = 1;
    for (int k = 0; k < m; ++k) {
        total = total * p + power;
        power *= q;
    }
    return y * q * p * total;
}

// n! (ζ(n + 1, x) - ζ(n + 1, x + y)) by Euler-Maclaurin summation, in which each difference of
// powers is a product with y.
INLINE double zeta_drop(int n, double x, double y) {
    double total = 0;
    for (; x < 10 + 0.5 * n; ++x) total += power_drop(n + 1, x, y);
    total += n > 0 ? power_drop(n, x, y) / n : log1p(y / x);
    total += 0.5 * power_drop(n + 1, x, y);
    double factor = n + 1;
    int k = 0;
    for (const double coefficient : EULER_MACLAURIN) {
        total += coefficient * factor * power_drop(n + 2 + 2 * k, x, y);
        factor *= (n + 2. * k + 2) * (n + 2. * k + 3);
        ++k;
    }
    for (int j = 1; j <= n; ++j) total *= j;
    return total;
}

// ψ⁽ⁿ⁾(x) - ψ⁽ⁿ⁾(x + y).
INLINE double psi_drop(int n, double x, double y, const double* series) {
    if (x > 0 && x + y > 0 && y < INFINITE)
        return n % 2 == 1 ? zeta_drop(n, x, y) : -zeta_drop(n, x, y);
    if (n == 0) return psi(x) - psi(x + y);
    return psi_derivative(n, x, series) - psi_derivative(n, x + y, series);
}

// log Γ(x) - (x - ½) log x + x - ½ log 2π for x ≥ 10 (Abramowitz & Stegun 6.1.40).
INLINE double stirling_rest(double x) {
    double series = 0;
    for (const double coefficient : STIRLING) series = series / (x * x) + coefficient;
    return series / x;
}

// As `stirling_rest`, for x ≥ 20.
INLINE Wide wide_stirling_rest(Wide x) {
    const Wide inverse = wide_reciprocal(x), square = inverse * inverse;
    double last = 0;
    for (const double coefficient : STIRLING_FAR) last = last * square.high + coefficient;
    Wide series = {last, 0};
    for (int k = 0; k < (int)(sizeof WIDE_STIRLING / sizeof(Wide)); ++k)
        series = series * square + Wide{WIDE_STIRLING[2 * k], WIDE_STIRLING[2 * k + 1]};
    return series * inverse;
}

// As `log_beta`, from 20 on, in wide numbers, with log Γ(p) by recurrence and Stirling's formula
// too, for p < 2, where B(p, q) is near 1.
INLINE double wide_log_beta(double p, double q) {
    Wide product = {1, 0}, quotient = {1, 0};
    double k = 0, shift = 0;
    for (; k < 20; ++k) {
        product = product * exact_sum(p, k);
        if (q + k < 20) {
            product = product * exact_sum(q, k);
            quotient = quotient * (exact_sum(q, k) + Wide{p, 0});
            shift += 1;
        }
    }
    const Wide large = exact_sum(p, k), far = exact_sum(q, shift), both = far + Wide{p, 0};
    ExactSum total;
    total.add({-k, 0});
    total.add(-wide_stirling_rest(both));
    total.add(wide_log(quotient * wide_reciprocal(product)));
    total.add((large + Wide{-0.5, 0}) * wide_log(large));
    total.add(wide_stirling_rest(large) + Wide{HALF_LOG_2_PI[0], HALF_LOG_2_PI[1]});
    total.add(Wide{-p, 0} * wide_log(both));
    const Wide s = Wide{p, 0} * wide_reciprocal(far + both);
    total.add((Wide{0.5, 0} + -far) * wide_twice_artanh(s));
    total.add(wide_stirling_rest(far));
    return total.high + (total.low + total.least);
}

// By log Γ where both are small. Else recurrence in the larger argument up to 10, then Stirling's
// formula with its remainder (Didonato & Morris 1992, algorithm 708, BETALN).
INLINE double log_beta(double x, double y) {
    if (x != x || y != y) return NOT_A_NUMBER;
    const double p = fmin(x, y), larger = fmax(x, y);
    if (p == 1 && larger == 1) return 0;
    if (p == 0) return INFINITE;
    if (p < 0) return lgamma(p) + lgamma(larger) - lgamma(p + larger);
    if (larger == INFINITE) return -INFINITE;
    if (larger < 3) {
        const double value = lgamma(p) + (lgamma(larger) - lgamma(p + larger));
        return fabs(value) < 0.5 ? wide_log_beta(p, larger) : value;
    }
    double q = larger, product = 1;
    for (; q < 10; ++q) product *= 1 + p / q;
    const double rest = stirling_rest(q) - stirling_rest(p + q) + log(product), ratio = p / q;
    if (p < 10) {
        const double last = p - p * log(p + q) - (q - 0.5) * log1p(ratio);
        const double value = rest + lgamma(p) + last;
        return fabs(value) < 0.5 && q < 1e300 ? wide_log_beta(p, larger) : value;
    }
    const double scale = stirling_rest(p) + 0.5 * log(2 * PI / q);
    return rest + scale + (p - 0.5) * log(ratio / (1 + ratio)) - q * log1p(ratio);
}

// exp(factor · x²) for |x| < 40: x² is split into a square that is exact, and a rest.
INLINE double exp_of_square(double x, double factor) {
    const double near = floor(16 * x + 0.5) / 16;
    return exp(factor * near * near) * exp(factor * (x - near) * (x + near));
}

// (1 + 2x) erfcx(x), which hardly varies, as a polynomial in (x - 4) / (x + 4), for x ≥ 0
// (Shepherd & Laframboise 1981).
INLINE double erfcx_right(double x) {
    const double t = 1 - 8 / (x + 4);
    double series = 0;
    for (const double coefficient : ERFCX) series = series * t + coefficient;
    return 0.5 * series / (x + 0.5);
}

// exp(x²) erfc(x); left of 0 as 2 exp(x²) less its mirror image.
INLINE double scaled_erfc(double x) {
    if (x >= 0 || x != x) return erfcx_right(x);
    return x < -27 ? INFINITE : 2 * exp_of_square(x, 1) - erfcx_right(-x);
}

// Recurrence where its terms have one sign, else the ratios of neighbours as a continued fraction
// (Gautschi 1961), or, near 0, the integral.
INLINE double scaled_erfc_derivative(int n, double x, const double* weights) {
    double value = scaled_erfc(x), previous = 0, ratio = 0;
    if (x < 0) {
        for (int k = 0; k < n; ++k) {
            const double last = k == 0 ? 2 / sqrt(PI) : -2 * k * previous;
            previous = value;
            value = 2 * x * value - last;
        }
        return value;
    }
    if (x < 2) {
        value = 0;
        for (const double node : LAPLACE_NODES) value += *weights++ * exp(-2 * x * node);
        return value;
    }
    if (x != x) return x;
    const double root = sqrt((double)n) + 14 / x;
    for (int k = (int)(root * root) + 12; k > 0; --k) {
        ratio = 2 * k / (2 * x + ratio);
        if (k <= n) value *= -ratio;
    }
    return value;
}

INLINE double normal_probability(double x) {
    const double z = -SQRT_HALF[0] * x;
    if (x >= -1 || x != x) return 0.5 * erfc(z);
    return x < -39 ? 0 : 0.5 * erfcx_right(z) * exp_of_square(x, -0.5);
}

INLINE double log_normal_probability(double x) {
    if (x < -1) return log(0.5 * erfcx_right(-SQRT_HALF[0] * x)) - 0.5 * x * x;
    return x < 0 ? log(normal_probability(x)) : log1p(-normal_probability(-x));
}

INLINE double entropy(double x) {
    if (x > 0 || x != x) return -x * log(x);
    return x == 0 ? 0 : -INFINITE;
}

// log(x / (1 - x)); near ½, its zero, 2 artanh(2x - 1), where 2x - 1 is exact.
INLINE double log_odds(double x) {
    if (!(0 <= x && x <= 1)) return NOT_A_NUMBER;
    return fabs(x - 0.5) < 0.25 ? 2 * atanh(2 * x - 1) : log(x / (1 - x));
}

// The power series, whose terms are positive, up to 8; then a polynomial in 1/x.
INLINE double bessel_0(double x) {
    const double size = fabs(x);
    double series = 0;
    if (size <= 8) {
        for (const double coefficient : I0_NEAR) series = series * (0.25 * x * x) + coefficient;
        return series * exp(-size);
    }
    for (const double coefficient : I0E_FAR) series = series * (16 / size - 1) + coefficient;
    return series / sqrt(size);
}

INLINE double bessel_1(double x) {
    const double size = fabs(x);
    double series = 0;
    if (size <= 8) {
        for (const double coefficient : I1_NEAR) series = series * (0.25 * x * x) + coefficient;
        return 0.5 * x * series * exp(-size);
    }
    for (const double coefficient : I1E_FAR) series = series * (16 / size - 1) + coefficient;
    return copysign(series / sqrt(size), x);
}

// The integral, by the trapezoidal rule, up to 50; then the asymptotic series. `code` is 2n + the
// order; see `bessel_table` in kernels/cpu/special.py.
INLINE double bessel_derivative(int code, double x, const double* table) {
    const int n = code / 2;
    const bool odd = (n + code) % 2 == 1;
    if (x == 0 && odd) return x;
    const double size = fabs(x);
    double value = 0;
    if (size < 50 || x != x) {
        for (const double node : BESSEL_NODES) value += *table++ * exp(size * node);
    } else {
        table += sizeof BESSEL_NODES / sizeof(double);
        for (int k = 0; k < (int)BESSEL_FAR_COUNT[0]; ++k) value = value / size + table[k];
        value *= pow(size, -0.5 - n);
    }
    return odd && x < 0 ? -value : value;
}

#define PARAMETERS const real *x, real *out, int64 size, int64 order, const double *table
#define PAIRS                                                                                   \
    const real *x, const real *y, real *out, int64 size, int64 order, const double *table
#define EACH(VALUE)                                                            \
    for (int64 i = (int64)blockIdx.x * blockDim.x + threadIdx.x; i < size;     \
         i += (int64)gridDim.x * blockDim.x) {                                 \
        const double z = x[i];                                                 \
        out[i] = (real)(VALUE);                                                \
    }

// `order` and `table` are for those with an order; see kernels/cpu/special.py.
extern "C" __global__ void erf_each(PARAMETERS) { EACH(erf(z)) }
extern "C" __global__ void erfc_each(PARAMETERS) { EACH(erfc(z)) }
extern "C" __global__ void erfinv_each(PARAMETERS) { EACH(erf_inverse(z)) }
extern "C" __global__ void erfcx_each(PARAMETERS) { EACH(scaled_erfc(z)) }
extern "C" __global__ void erfcx_derivative_each(PARAMETERS) {
    EACH(scaled_erfc_derivative((int)order, z, table))
}
extern "C" __global__ void ndtr_each(PARAMETERS) { EACH(normal_probability(z)) }
extern "C" __global__ void log_ndtr_each(PARAMETERS) { EACH(log_normal_probability(z)) }
extern "C" __global__ void lgamma_each(PARAMETERS) { EACH(lgamma(z)) }
extern "C" __global__ void digamma_each(PARAMETERS) { EACH(psi(z)) }
extern "C" __global__ void polygamma_each(PARAMETERS) {
    EACH(psi_derivative((int)order, z, table))
}
extern "C" __global__ void entr_each(PARAMETERS) { EACH(entropy(z)) }
extern "C" __global__ void logit_each(PARAMETERS) { EACH(log_odds(z)) }
extern "C" __global__ void i0e_each(PARAMETERS) { EACH(bessel_0(z)) }
extern "C" __global__ void i1e_each(PARAMETERS) { EACH(bessel_1(z)) }
extern "C" __global__ void bessel_derivative_each(PARAMETERS) {
    EACH(bessel_derivative((int)order, z, table))
}

// Of pairs: those take a second array before `out`.
extern "C" __global__ void betaln_each(PAIRS) { EACH(log_beta(z, y[i])) }
extern "C" __global__ void polygamma_drop_each(PAIRS) {
    EACH(psi_drop((int)order, z, y[i], table))
}
