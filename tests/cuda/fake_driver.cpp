// A CUDA driver without a GPU, behind the emulated kernels of one package: what octet.targets.cuda calls, nothing more.
// A module whose bytes go on with a path is the library there, emulated kernels too: many modules in one process.
// Streams run at once; a captured graph is a list of closures. Device memory is host memory at addresses that a host pointer never has by accident.
#include <dlfcn.h>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace fake {
using Work = std::vector<std::function<int()>>;
static Work* recording = nullptr;
static std::map<void*, size_t> memory;
using Emulate = decltype(&octet_emulate);
struct Function {
  Emulate emulate;
  std::string name;
  unsigned operands;
};
static char text[400];
static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

static std::recursive_mutex one;  // kernels are emulated one at a time, whatever thread asks
static int run(std::function<int()> work) {
  std::lock_guard guard(one);
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
// What was given out and not yet given back. FAKE_CUDA_HELD: said at the end of the process.
struct Held {
  int count = 0;
  ~Held() {
    if (std::getenv("FAKE_CUDA_HELD") != nullptr) std::printf("held: %d, capturing: %d\n", count, recording != nullptr);
  }
};
static Held held;
static int fault(const char* what) { return std::snprintf(text, sizeof text, "%s", what), 700; }
static bool refuses(const char* call) {  // FAKE_CUDA_REFUSE: a call that fails
  const char* name = std::getenv("FAKE_CUDA_REFUSE");
  return name != nullptr && std::strcmp(name, call) == 0;
}
template <typename T>
static int give(const char* call, T* out, T value) {
  if (refuses(call)) return fault("refused");
  return ++held.count, *out = value, 0;
}
static int take() { return --held.count, 0; }
}  // namespace fake

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int* out) {
  const char* version = std::getenv("FAKE_CUDA_DRIVER");
  return *out = version ? std::atoi(version) : 13000, 0;
}
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
int cuDevicePrimaryCtxRetain(void** out, int) { return fake::give<void*>(__func__, out, fake::text); }
int cuDevicePrimaryCtxRelease_v2(int) { return fake::take(); }
int cuCtxSetCurrent(void*) { return 0; }
int cuCtxSynchronize() { return 0; }
int cuModuleLoadData(void** out, const void* image) {
  if (*static_cast<const unsigned*>(image) != 0xBA55ED50u) return fake::fault("no fatbin");
  auto* path = static_cast<const char*>(image) + 4;
  *out = *path == '/' ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : fake::text;
  return *out == nullptr ? fake::fault(dlerror()) : fake::give(__func__, out, *out);
}
int cuModuleUnload(void*) { return fake::take(); }
int cuModuleGetFunction(void** out, void* module, const char* name) {
  auto* made = new fake::Function{octet_emulate, name, 0};
  if (module != fake::text) {
    made->emulate = reinterpret_cast<fake::Emulate>(dlsym(module, "octet_emulate"));
    made->operands = reinterpret_cast<unsigned (*)(const char*)>(dlsym(module, "octet_operands"))(name);
  } else {
    for (const auto& entry : entries)
      if (std::strcmp(entry.name, name) == 0) made->operands = entry.operands;
  }
  return *out = made, made->operands ? 0 : fake::fault("no such kernel");
}
int cuFuncSetAttribute(void*, int attribute, int bytes) { return attribute == 8 && bytes <= 227 * 1024 ? 0 : fake::fault("too much shared memory"); }
int cuStreamCreate(void** out, unsigned) { return fake::give<void*>(__func__, out, fake::text); }
int cuStreamDestroy_v2(void*) { return fake::take(); }
int cuStreamSynchronize(void*) { return fake::recording ? fake::fault("waiting while capturing") : 0; }
int cuStreamBeginCapture_v2(void*, int) { return fake::recording = new fake::Work, 0; }
int cuStreamEndCapture(void*, void** out) { return ++fake::held.count, *out = fake::recording, fake::recording = nullptr, 0; }
int cuGraphInstantiateWithFlags(void** out, void* graph, unsigned long long) { return fake::give<void*>(__func__, out, new fake::Work(*static_cast<fake::Work*>(graph))); }
int cuGraphDestroy(void* graph) { return delete static_cast<fake::Work*>(graph), fake::take(); }
int cuGraphExecDestroy(void* graph) { return delete static_cast<fake::Work*>(graph), fake::take(); }
int cuGraphLaunch(void* graph, void*) {
  std::lock_guard guard(fake::one);
  for (auto& work : *static_cast<fake::Work*>(graph))
    if (int status = work()) return status;
  return 0;
}
int cuMemAlloc_v2(uint64_t* out, size_t bytes) {
  void* end = octet::buffer_end(bytes);
  size_t size = (bytes + 255) / 256 * 256;
  fake::memory[end] = size;
  return fake::give<uint64_t>(__func__, out, reinterpret_cast<uint64_t>(end) - size);
}
int cuMemFree_v2(uint64_t) { return fake::take(); }
int cuMemAllocHost_v2(void** out, size_t bytes) { return fake::give<void*>(__func__, out, std::malloc(bytes)); }
int cuMemFreeHost(void* pointer) { return std::free(pointer), fake::take(); }
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
  if (fake::refuses(__func__)) return fake::fault("refused");
  auto* called = static_cast<fake::Function*>(function);
  const char* fatal = std::getenv("FAKE_CUDA_FAULT");  // kernels of that name end the process
  if (fatal != nullptr && called->name.find(fatal) != std::string::npos) std::abort();
  auto values = std::make_shared<std::vector<void*>>();  // a graph keeps the arguments as they are at capture
  for (size_t i = 0; i < called->operands; ++i) values->push_back(*static_cast<void**>(arguments[i]));
  return fake::run([=] {
    std::vector<void*> pointers;
    for (auto& value : *values) pointers.push_back(&value);
    unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
    return called->emulate(called->name.c_str(), grid, block, shared, pointers.data(), 1, fake::text, sizeof fake::text) ? 700 : 0;
  });
}
int cuEventCreate(void** out, unsigned) { return fake::give<void*>(__func__, out, new double(0)); }
int cuEventDestroy_v2(void* event) { return delete static_cast<double*>(event), fake::take(); }
int cuEventRecord(void* event, void*) { return *static_cast<double*>(event) = fake::now(), 0; }
int cuEventRecordWithFlags(void* event, void*, unsigned) { return fake::run([=] { return *static_cast<double*>(event) = fake::now(), 0; }); }
int cuEventElapsedTime(float* out, void* first, void* last) { return *out = static_cast<float>((*static_cast<double*>(last) - *static_cast<double*>(first)) * 1e3), 0; }
}
