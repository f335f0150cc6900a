// Shrinks pictures by the mean of the area that each pixel covers, in the order of OpenCV's INTER_AREA and in its
// precision: where an area's mean lies halfway between two bytes, the order of the roundings decides. ale-py's vector
// environment resizes so.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace xtra {
namespace {

// A pixel of the source, and its share in a pixel of the result.
struct Share {
    int target;
    int source;
    float weight;
};

// Parts of a pixel that are smaller count for nothing, as in OpenCV.
constexpr double kLeastPart = 1e-3;

std::vector<Share> shares(int from, int to) {
    const double scale = 1.0 / (static_cast<double>(to) / from);
    std::vector<Share> result;
    for (int target = 0; target < to; ++target) {
        const double begin = target * scale, end = begin + scale, length = std::min(scale, from - begin);
        const int last = std::min(static_cast<int>(std::floor(end)), from - 1);
        const int first = std::min(static_cast<int>(std::ceil(begin)), last);
        if (first - begin > kLeastPart)
            result.push_back({target, first - 1, static_cast<float>((first - begin) / length)});
        for (int whole = first; whole < last; ++whole)
            result.push_back({target, whole, static_cast<float>(1.0 / length)});
        if (end - last > kLeastPart) {
            result.push_back({target, last, static_cast<float>(std::min({end - last, 1.0, length}) / length)});
        }
    }
    return result;
}

// Of 0 to 255, to the nearest byte, halves to the even one: above 2^23 a float has no fraction left.
std::uint8_t rounded(float value) {
    constexpr float kNoFraction = 8388608.0f;
    return static_cast<std::uint8_t>(static_cast<int>((value + kNoFraction) - kNoFraction));
}

class AreaResize {
  public:
    AreaResize(int height, int width, int size) : height_(height), width_(width), size_(size) {
        if (size < 1 || size > std::min(height, width)) throw std::invalid_argument("a picture is only made smaller");
        rows_ = shares(height, size);
        columns_ = shares(width, size);
    }

    using Picture = nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
    using Result = nb::ndarray<std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

    void operator()(const Picture& picture, const Result& result) {
        const auto channels = static_cast<int>(picture.shape(2));
        const bool pictures = picture.shape(0) == static_cast<std::size_t>(height_) &&
                              picture.shape(1) == static_cast<std::size_t>(width_);
        const auto size = static_cast<std::size_t>(size_);
        if (!pictures || result.shape(0) != size || result.shape(1) != size || result.shape(2) != picture.shape(2)) {
            throw std::invalid_argument("the picture or the result has another shape");
        }
        if (height_ % size_ == 0 && width_ % size_ == 0) {
            blocks(picture.data(), result.data(), channels);
        } else if (channels == 3) {
            areas<3>(picture.data(), result.data());
        } else if (channels == 1) {
            areas<1>(picture.data(), result.data());
        } else {
            throw std::invalid_argument("a picture has three channels or one");
        }
    }

  private:
    // Where every area is a block of whole pixels: their sum, scaled once. (Of blocks of 2x2, which no Atari picture is
    // shrunk by, OpenCV rounds halves up.)
    void blocks(const std::uint8_t* picture, std::uint8_t* result, int channels) const {
        const int rows = height_ / size_, columns = width_ / size_;
        const float scale = 1.0f / static_cast<float>(rows * columns);
        for (int y = 0; y < size_; ++y) {
            for (int x = 0; x < size_; ++x) {
                for (int c = 0; c < channels; ++c) {
                    int sum = 0;
                    for (int row = y * rows; row < (y + 1) * rows; ++row) {
                        for (int column = x * columns; column < (x + 1) * columns; ++column)
                            sum += picture[(row * width_ + column) * channels + c];
                    }
                    *result++ = rounded(static_cast<float>(sum) * scale);
                }
            }
        }
    }

    // Along each row first, then down the columns.
    template <int C>
    void areas(const std::uint8_t* picture, std::uint8_t* result) {
        const auto length = static_cast<std::size_t>(size_) * C;
        row_.resize(length);
        sum_.assign(length, 0.0f);
        int target = 0;
        for (const Share& share : rows_) {
            if (share.target != target) {
                std::transform(sum_.begin(), sum_.end(), result + target * length, rounded);
                std::fill(sum_.begin(), sum_.end(), 0.0f);
                target = share.target;
            }
            shrink_row<C>(picture + static_cast<std::size_t>(share.source) * width_ * C);
            for (std::size_t i = 0; i < length; ++i) sum_[i] += row_[i] * share.weight;
        }
        std::transform(sum_.begin(), sum_.end(), result + target * length, rounded);
    }

    template <int C>
    void shrink_row(const std::uint8_t* row) {
        const Share* share = columns_.data();
        const Share* const end = share + columns_.size();
        for (int target = 0; target < size_; ++target) {
            float sum[C] = {};
            for (; share != end && share->target == target; ++share) {
                for (int c = 0; c < C; ++c) sum[c] += static_cast<float>(row[share->source * C + c]) * share->weight;
            }
            std::copy(sum, sum + C, row_.begin() + target * C);
        }
    }

    int height_, width_, size_;
    std::vector<Share> rows_, columns_;
    std::vector<float> row_, sum_;
};

}  // namespace
}  // namespace xtra

NB_MODULE(_resize, module) {
    using xtra::AreaResize;
    nb::class_<AreaResize>(module, "AreaResize")
        .def(nb::init<int, int, int>(), "height"_a, "width"_a, "size"_a)
        .def("__call__", &AreaResize::operator(), "picture"_a, "result"_a);
}
