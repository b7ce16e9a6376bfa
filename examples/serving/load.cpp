// Throughput and latency of an exported network: load [THREADS [SECONDS]]
//
//   octet export OUT.octet -o net --name net
//   g++ -std=c++17 -O2 -Inet load.cpp -Lnet -lnet -Wl,-rpath,$PWD/net -pthread -o load
//
// Each thread has a session of its own, asks again as soon as it has its answer, and checks that the same input gives the same answer.

#include "net.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <thread>
#include <vector>

using Clock = std::chrono::steady_clock;

// Tensors of the network's sizes, whatever their types: the inputs hold small codes, which are valid numbers of every type.
class Caller {
 public:
  Caller() {
    for (int i = 0; i < NET_INPUTS; i++) inputs_.emplace_back(net_input(0, i)->bytes, static_cast<char>(0));
    for (int i = 0; i < NET_OUTPUTS; i++) outputs_.emplace_back(net_output(0, i)->bytes);
    const int status = net_create(nullptr, &session_);
    if (status != NET_OK) throw net::Error(status);
  }
  ~Caller() { net_destroy(session_); }
  Caller(const Caller &) = delete;
  Caller &operator=(const Caller &) = delete;

  const std::vector<std::vector<char>> &run() {
    net_source sources[NET_INPUTS];
    net_sink sinks[NET_OUTPUTS];
    for (std::size_t i = 0; i < inputs_.size(); i++) sources[i] = {inputs_[i].data(), inputs_[i].size()};
    for (std::size_t i = 0; i < outputs_.size(); i++) sinks[i] = {outputs_[i].data(), outputs_[i].size()};
    const int status = net_run(session_, sources, sinks);
    if (status != NET_OK) throw net::Error(status);
    return outputs_;
  }

 private:
  std::vector<std::vector<char>> inputs_, outputs_;
  net_session *session_ = nullptr;
};

// Milliseconds of every run until the time is over.
static std::vector<double> measured(double seconds, std::atomic<int> &ready, int threads) {
  Caller caller;
  const auto first = caller.run();
  for (ready++; ready < threads;) std::this_thread::yield();
  std::vector<double> taken;
  const auto until = Clock::now() + std::chrono::duration<double>(seconds);
  for (auto start = Clock::now(); start < until; start = Clock::now()) {
    if (caller.run() != first) throw std::runtime_error("the same input gave another answer");
    taken.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  return taken;
}

int main(int count, char **arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  const double seconds = count > 2 ? std::atof(arguments[2]) : 2.0;
  if (threads < 1 || threads > 1024 || !(seconds > 0 && seconds < 3600)) {
    std::fprintf(stderr, "load [THREADS [SECONDS]]: 1 to 1024 threads, less than an hour\n");
    return 2;
  }
  std::atomic<int> ready{0};
  std::vector<std::vector<double>> taken(static_cast<std::size_t>(threads));
  std::vector<std::string> failures(taken.size());
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < taken.size(); i++)
    workers.emplace_back([&, i] {
      try {
        taken[i] = measured(seconds, ready, threads);
      } catch (const std::exception &error) {
        failures[i] = error.what();
        ready += threads;  // nobody waits for this thread
      }
    });
  for (auto &worker : workers) worker.join();
  for (const auto &failure : failures)
    if (!failure.empty()) {
      std::fprintf(stderr, "load: %s\n", failure.c_str());
      return 1;
    }
  std::vector<double> all;
  for (const auto &mine : taken) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) { return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))]; };
  std::printf("%s, %d threads: %.1f runs a second, p50 %.3f ms, p99 %.3f ms\n", NET_TARGET, threads, static_cast<double>(all.size()) / seconds, at(0.5), at(0.99));
}
