// Must not survive AddressSanitizer: reads a byte that was given back.
#include <cstdio>
#include <memory>

int main(int argc, char**) {
  auto byte = std::make_unique<char>('a');
  const char* gone = byte.get();
  byte.reset();
  std::printf("survived with %d\n", *gone + argc);
}
