// SPDX-License-Identifier: Apache-2.0
// System calls of a thread that its creator answers in the kernel's place: they fail, are interrupted, or move less than was
// asked for. By a seccomp filter that tells of them, which needs no rights; it is the thread's alone, and ends with it.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace aegis_test {

inline constexpr int told_calls[] = {__NR_pread64, __NR_pwrite64,  __NR_pwritev2,  __NR_fdatasync, __NR_fsync, __NR_openat,
                                     __NR_openat2, __NR_ftruncate, __NR_fallocate, __NR_fstatfs,   __NR_fcntl, __NR_flock};

/// The descriptor where this thread's calls are told from now on; -1 where the kernel does not.
inline int tell_calls() {
  std::vector<::sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offsetof(::seccomp_data, nr)))};
  for (const int call : told_calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const ::sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

/// How calls of one number are answered; all others, and these afterwards, are the kernel's.
struct Answers {
  static constexpr std::size_t whole = std::numeric_limits<std::size_t>::max();

  int call = -1;
  int error = EINTR;
  unsigned times = 0;           ///< So many of them get the error.
  std::size_t at_most = whole;  ///< Then pread64 and pwrite64 move no more bytes than that.
};

struct Met {
  bool told = true;  ///< Whether this kernel tells and goes on with calls.
  unsigned failed = 0, shorter = 0;
};

/// True when the call was answered and its thread goes on.
inline bool answer(int listener, const Answers& answers, Met& met) {
  ::seccomp_notif told{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &told) != 0) return false;
  ::seccomp_notif_resp reply{};
  reply.id = told.id;
  const auto& args = told.data.args;
  if (told.data.nr == answers.call && met.failed < answers.times) {
    ++met.failed;
    reply.error = -answers.error;
  } else if (told.data.nr == answers.call && args[2] > answers.at_most) {
    ++met.shorter;  // not by pread: that the caller waits meanwhile is nothing that a sanitizer of threads could see
    reply.val = answers.at_most == 0 ? 0 : ::syscall(told.data.nr, args[0], args[1], answers.at_most, args[3]);
  } else {
    reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  }
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) == 0) return true;
  met.told = false;
  reply.flags = 0, reply.error = -ENOSYS;
  return ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply) == 0;
}

/// fn() in a thread whose calls are answered so.
template <class Fn>
Met with_answers(const Answers& answers, Fn&& fn) {
  constexpr int none = -2;
  std::atomic<int> listener{none};
  std::atomic<bool> done{false};
  std::thread caller{[&] {
    const int fd = tell_calls();
    listener = fd;
    listener.notify_all();
    if (fd >= 0) fn();
    done = true;
  }};
  listener.wait(none);
  Met met;
  met.told = listener >= 0;
  while (met.told && !done) {
    ::pollfd ready{listener, POLLIN, 0};
    if (::poll(&ready, 1, 10) == 1 && (ready.revents & POLLIN) != 0) (void)answer(listener, answers, met);
  }
  caller.join();
  if (listener >= 0) ::close(listener);
  return met;
}

}  // namespace aegis_test
