// Result<T>: a value or an Error, never both, never neither. Result<void> is success or an Error.
//
//   Result<int> Parse(std::string_view text);
//   int port = TRY(Parse(text));   // returns the error to the caller, or yields the value
//
// Threading: a plain value.
#pragma once

#include <cassert>
#include <type_traits>
#include <utility>
#include <variant>

#include "transport/base/error.h"

namespace bt {

template <typename T>
class [[nodiscard]] Result {
 public:
  using Value = T;

  // Implicit on purpose: `return value;` and `return Error{...};` both read well.
  template <typename U = T>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, Result> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error>)
      Result(U&& value)  // NOLINT(google-explicit-constructor,bugprone-forwarding-reference-overload)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)), failed_(true) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  void value() const { assert(ok()); }

  const Error& error() const& {
    assert(failed_);
    return error_;
  }
  Error&& error() && {
    assert(failed_);
    return std::move(error_);
  }

 private:
  Error error_;
  bool failed_ = false;
};

using Status = Result<void>;

}  // namespace bt

// Evaluates to the value of a Result, or returns its error from the enclosing function. A statement expression, which
// GCC and Clang both have. Not beside another argument or member that owns something, as in Pair{shared, TRY(...)}:
// what is made already of the expression around it is never destroyed when it returns.
#define TRY(expression)                     \
  __extension__({                           \
    auto try_result = (expression);         \
    if (!try_result.ok()) {                 \
      return std::move(try_result).error(); \
    }                                       \
    std::move(try_result).value();          \
  })
