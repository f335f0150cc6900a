// Observations from frames: stacks of bytes made floats in [0, 1], shifted and scaled where a batch is augmented. A
// network's first layer reads them channels last, so the frames of a stack lie side by side at each pixel. In one pass:
// torch takes one each for joining frames, shifting, casting and scaling, and they together take as long as the first
// layer.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace xtra {
namespace {

template <class T, int N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::device::cpu>;
template <class T, int N>
using Dense = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;

struct Shape {
    int height, width, channels, stack;

    std::size_t frame_bytes() const { return static_cast<std::size_t>(height) * width * channels; }
};

// stack: the first of its frames, which follow one another.
void write_observation(const std::uint8_t* stack, const Shape& shape, int down, int right, float scale, float* out) {
    // Divided, then scaled, each rounded: as torch does it.
    float brightness[256];
    for (int value = 0; value < 256; ++value) brightness[value] = static_cast<float>(value) / 255.0f * scale;
    for (int y = 0; y < shape.height; ++y) {
        const int row = std::clamp(y + down, 0, shape.height - 1) * shape.width;
        for (int x = 0; x < shape.width; ++x) {
            // A clamped place is replicated padding.
            const int pixel = row + std::clamp(x + right, 0, shape.width - 1);
            const std::uint8_t* frame = stack + static_cast<std::size_t>(pixel) * shape.channels;
            for (int i = 0; i < shape.stack; ++i, frame += shape.frame_bytes()) {
                for (int c = 0; c < shape.channels; ++c) *out++ = brightness[frame[c]];
            }
        }
    }
}

// Calls `work` on shares of 0, …, size - 1.
template <class Work>
void share_out(std::size_t size, int num_threads, const Work& work) {
    const std::size_t shares = std::max<std::size_t>(1, std::min<std::size_t>(size, num_threads));
    std::vector<std::thread> threads;
    for (std::size_t share = 1; share < shares; ++share) {
        const std::size_t first = size * share / shares, end = size * (share + 1) / shares;
        try {
            threads.emplace_back(work, first, end);
        } catch (const std::system_error&) {  // the system has no thread left
            work(first, end);
        }
    }
    work(std::size_t{0}, size / shares);
    for (std::thread& thread : threads) thread.join();
}

void write_observations(const Array<const std::uint8_t, 5>& frames, const Dense<const std::int64_t, 1>& samples,
                        const Dense<const std::int64_t, 1>& steps, const Dense<const std::int64_t, 2>& shifts,
                        const Dense<const float, 1>& scales, const Dense<float, 4>& out, int num_threads) {
    const Shape shape{static_cast<int>(frames.shape(2)), static_cast<int>(frames.shape(3)),
                      static_cast<int>(frames.shape(4)),
                      static_cast<int>(out.shape(3) / std::max<std::size_t>(1, frames.shape(4)))};
    const std::size_t size = out.shape(0), length = shape.frame_bytes();
    // The stride of a dimension of size 1 says nothing.
    const auto lies = [&](std::size_t dimension, std::size_t stride) {
        return frames.shape(dimension) <= 1 || frames.stride(dimension) == static_cast<std::int64_t>(stride);
    };
    const std::size_t row_bytes = frames.shape(3) * frames.shape(4);
    const bool whole_frames = lies(4, 1) && lies(3, frames.shape(4)) && lies(2, row_bytes) && lies(1, length);
    if (!whole_frames) throw std::invalid_argument("the frames of a run must lie one after another");
    if (samples.shape(0) != size || steps.shape(0) != size || scales.shape(0) != size || shifts.shape(0) != size ||
        shifts.shape(1) != 2 || out.shape(1) != frames.shape(2) || out.shape(2) != frames.shape(3) ||
        out.shape(3) != static_cast<std::size_t>(shape.stack) * shape.channels) {
        throw std::invalid_argument("places, shifts, scales and observations do not belong together");
    }
    const auto runs = static_cast<std::int64_t>(frames.shape(0)),
               last = static_cast<std::int64_t>(frames.shape(1)) - shape.stack;
    for (std::size_t i = 0; i < size; ++i) {
        if (samples.data()[i] < 0 || samples.data()[i] >= runs || steps.data()[i] < 0 || steps.data()[i] > last) {
            throw std::out_of_range("an observation lies outside the frames");
        }
    }
    share_out(size, num_threads, [&](std::size_t first, std::size_t end) {
        for (std::size_t i = first; i < end; ++i) {
            const std::uint8_t* stack = frames.data() + samples.data()[i] * frames.stride(0) +
                                        steps.data()[i] * static_cast<std::int64_t>(length);
            const std::int64_t* shift = shifts.data() + 2 * i;
            write_observation(stack, shape, static_cast<int>(shift[0]), static_cast<int>(shift[1]), scales.data()[i],
                              out.data() + i * length * shape.stack);
        }
    });
}

}  // namespace
}  // namespace xtra

NB_MODULE(_observations, module) {
    module.def("write_observations", &xtra::write_observations, "frames"_a, "samples"_a, "steps"_a, "shifts"_a,
               "scales"_a, "out"_a.noconvert(), "num_threads"_a, nb::call_guard<nb::gil_scoped_release>());
}
