// The C++ session: containers and pointers as tensors, moved sessions, exceptions.

#include "small.hpp"

#include <array>
#include <cstdio>
#include <cstring>
#include <vector>

int main() {
  std::FILE *file = std::fopen("small.selftest", "rb");
  std::vector<float> input(SMALL_INPUT_0_ELEMENTS);
  std::array<float, SMALL_OUTPUT_0_ELEMENTS> expected, output{}, again{};
  if (file == nullptr || std::fread(input.data(), 4, input.size(), file) != input.size() || std::fread(expected.data(), 4, expected.size(), file) != expected.size()) return 2;
  std::fclose(file);
  small::Session first(2);
  first.run(input, output);
  small::Session second = std::move(first);
  const float *data = input.data();
  second.run({data, input.size()}, again);
  if (output != expected || again != expected) return 3;
  try {
    std::vector<float> shorter(3);
    second.run(shorter, output);
    return 4;
  } catch (const small::Error &error) {
    if (error.status() != SMALL_WRONG_SIZE || std::strlen(error.what()) == 0) return 5;
  }
  try {
    small::Session third(1, SMALL_SHAPES);
    return 6;
  } catch (const small::Error &error) {
    if (error.status() != SMALL_WRONG_ARGUMENT) return 7;
  }
  std::puts("done");
}
