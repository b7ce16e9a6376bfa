/* octet_net.h for C++17: a session that ends with its scope, and exceptions for codes. */

#ifndef OCTET_NET_HPP
#define OCTET_NET_HPP

#include "octet_net.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace octet_net {

class Error : public std::runtime_error {
 public:
  explicit Error(int status) : std::runtime_error(octet_net_message(status)), status_(status) {}
  /* A code of octet_net_status. */
  int status() const noexcept { return status_; }

 private:
  int status_;
};

/* Elements in one piece that belong to somebody else: of a std::vector or a std::array, or by address and number. */
template <typename T>
class View {
 public:
  View(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <typename C, typename = std::enable_if_t<std::is_convertible_v<decltype(std::declval<C &>().data()), T *>>>
  View(C &&elements) : data_(elements.data()), size_(elements.size()) {}
  T *data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return size_ * sizeof(T); }

 private:
  T *data_;
  std::size_t size_;
};

/* Runs one inference at a time; one thread at a time uses it. */
class Session {
 public:
  /* As octet_net_options has them. Throws Error. */
  explicit Session(int threads = 1, int shape = 0, const char *weights = nullptr) : session_(make(threads, shape, weights)) {}

  /* One inference. Throws Error, also for a view of another size than its tensor's. */
  void run(@PARAMETERS@) {
    const octet_net_source sources[] = {@SOURCES@};
    const octet_net_sink sinks[] = {@SINKS@};
    const int status = octet_net_run(session_.get(), sources, sinks);
    if (status != OCTET_NET_OK) throw Error(status);
  }

 private:
  struct End {
    void operator()(octet_net_session *session) const noexcept { octet_net_destroy(session); }
  };

  static octet_net_session *make(int threads, int shape, const char *weights) {
    octet_net_options options = {};
    options.threads = threads;
    options.shape = shape;
    options.weights = weights;
    octet_net_session *made = nullptr;
    const int status = octet_net_create(&options, &made);
    if (status != OCTET_NET_OK) throw Error(status);
    return made;
  }

  std::unique_ptr<octet_net_session, End> session_;
};

}  // namespace octet_net

#endif
