// Must not survive ThreadSanitizer: two threads count without a lock.
#include <cstdio>
#include <thread>

int main() {
  long count = 0;
  {
    auto add = [&count] {
      for (int i = 0; i < 1000; ++i) {
        ++count;
      }
    };
    const std::jthread first(add);
    const std::jthread second(add);
  }
  std::printf("survived with %ld\n", count);
}
