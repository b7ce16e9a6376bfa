// A CUDA driver without a GPU, behind the emulated kernels of one package: what octet.targets.cuda calls, nothing more.
// Streams run at once; a captured graph is a list of closures. Device memory is host memory at addresses that a host pointer never has by accident.
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace fake {
using Work = std::vector<std::function<int()>>;
static Work* recording = nullptr;
static std::map<void*, size_t> memory;
static std::vector<std::string> kernels;
static char text[400];
static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static int run(std::function<int()> work) {
  if (recording == nullptr) return work();
  recording->push_back(work);
  return 0;
}
static bool inside(const void* pointer, size_t bytes) {
  for (auto [end, size] : memory) {
    auto *last = static_cast<char*>(end), *first = last - size;
    if (pointer >= first && static_cast<const char*>(pointer) + bytes <= last) return true;
  }
  return false;
}
static int fault(const char* what) { return std::snprintf(text, sizeof text, "%s", what), 700; }
}  // namespace fake

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* out) { return *out = 12040, 0; }
int cuGetErrorString(int, const char** out) { return *out = fake::text, 0; }
int cuDeviceGetCount(int* out) { return *out = 1, 0; }
int cuDeviceGet(int* out, int number) { return *out = number, 0; }
int cuDeviceGetName(char* out, int size, int) { return std::snprintf(out, size, "emulated device"), 0; }
int cuDeviceGetAttribute(int* out, int attribute, int) {
  const char* arch = std::getenv("FAKE_CUDA_ARCH");
  int value = arch ? std::atoi(arch) : 80;
  *out = attribute == 75 ? value / 10 : attribute == 76 ? value % 10 : 1;
  return 0;
}
int cuDevicePrimaryCtxRetain(void** out, int) { return *out = fake::text, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void*) { return 0; }
int cuModuleLoadData(void** out, const void* image) {
  if (*static_cast<const unsigned*>(image) != 0xBA55ED50u) return fake::fault("no fatbin");
  return *out = fake::text, 0;
}
int cuModuleUnload(void*) { return 0; }
int cuModuleGetFunction(void** out, void*, const char* name) {
  for (const auto& entry : entries)
    if (std::strcmp(entry.name, name) == 0) return *out = const_cast<char*>(entry.name), 0;
  return fake::fault("no such kernel");
}
int cuFuncSetAttribute(void*, int attribute, int bytes) { return attribute == 8 && bytes <= 227 * 1024 ? 0 : fake::fault("too much shared memory"); }
int cuStreamCreate(void** out, unsigned) { return *out = fake::text, 0; }
int cuStreamDestroy_v2(void*) { return 0; }
int cuStreamSynchronize(void*) { return fake::recording ? fake::fault("waiting while capturing") : 0; }
int cuStreamBeginCapture_v2(void*, int) { return fake::recording = new fake::Work, 0; }
int cuStreamEndCapture(void*, void** out) { return *out = fake::recording, fake::recording = nullptr, 0; }
int cuGraphInstantiateWithFlags(void** out, void* graph, unsigned long long) { return *out = new fake::Work(*static_cast<fake::Work*>(graph)), 0; }
int cuGraphDestroy(void* graph) { return delete static_cast<fake::Work*>(graph), 0; }
int cuGraphExecDestroy(void* graph) { return delete static_cast<fake::Work*>(graph), 0; }
int cuGraphLaunch(void* graph, void*) {
  for (auto& work : *static_cast<fake::Work*>(graph))
    if (int status = work()) return status;
  return 0;
}
int cuMemAlloc_v2(uint64_t* out, size_t bytes) {
  void* end = octet::buffer_end(bytes);
  size_t size = (bytes + 255) / 256 * 256;
  fake::memory[end] = size;
  *out = reinterpret_cast<uint64_t>(end) - size;
  return 0;
}
int cuMemFree_v2(uint64_t) { return 0; }
int cuMemAllocHost_v2(void** out, size_t bytes) { return *out = std::malloc(bytes), 0; }
int cuMemFreeHost(void* pointer) { return std::free(pointer), 0; }
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void*) {
  auto* at = reinterpret_cast<void*>(to);
  if (!fake::inside(at, bytes)) return fake::fault("memset outside of a buffer");
  return fake::run([=] { return std::memset(at, value, bytes), 0; });
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
  auto* at = reinterpret_cast<void*>(to);
  if (!fake::inside(at, bytes)) return fake::fault("copy to outside of a buffer");
  return fake::run([=] { return std::memcpy(at, from, bytes), 0; });
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
  auto* at = reinterpret_cast<void*>(from);
  if (!fake::inside(at, bytes)) return fake::fault("copy from outside of a buffer");
  return fake::run([=] { return std::memcpy(to, at, bytes), 0; });
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void*, void** arguments, void**) {
  size_t count = 0;
  for (const auto& entry : entries)
    if (entry.name == function) count = entry.operands;
  auto values = std::make_shared<std::vector<void*>>();  // a graph keeps the arguments as they are at capture
  for (size_t i = 0; i < count; ++i) values->push_back(*static_cast<void**>(arguments[i]));
  return fake::run([=] {
    std::vector<void*> pointers;
    for (auto& value : *values) pointers.push_back(&value);
    unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    return octet_emulate(static_cast<const char*>(function), grid, block, shared, pointers.data(), 1, fake::text, sizeof fake::text) ? 700 : 0;
  });
}
int cuEventCreate(void** out, unsigned) { return *out = new double(0), 0; }
int cuEventDestroy_v2(void* event) { return delete static_cast<double*>(event), 0; }
int cuEventRecord(void* event, void*) { return *static_cast<double*>(event) = fake::now(), 0; }
int cuEventElapsedTime(float* out, void* first, void* last) { return *out = static_cast<float>((*static_cast<double*>(last) - *static_cast<double*>(first)) * 1e3), 0; }
}
