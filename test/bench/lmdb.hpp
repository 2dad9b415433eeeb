// SPDX-License-Identifier: Apache-2.0
// LMDB: copy-on-write B+tree on a memory map, one writer, no log.
// sync=none uses WRITEMAP|NOSYNC (its fastest mode); sync=commit is the default pwrite + fdatasync.
#pragma once
#include <lmdb.h>

#include "common.hpp"

namespace bench {

class Lmdb {
 public:
  static constexpr Slice name = "lmdb";
  static constexpr Slice isolation = "serializable, single writer";

  explicit Lmdb(const Config& c) : cfg_(c) {
    std::filesystem::create_directories(c.dir);
    ok(mdb_env_create(&env_));
    ok(mdb_env_set_mapsize(env_, u64{64} << 30));
    ok(mdb_env_set_maxreaders(env_, 256));
    unsigned flags = MDB_NOTLS;
    if (c.sync != Sync::commit) flags |= MDB_NOSYNC | MDB_WRITEMAP | MDB_NOMEMINIT;
    ok(mdb_env_open(env_, c.dir.c_str(), flags, 0644));
    MDB_txn* t;
    ok(mdb_txn_begin(env_, nullptr, 0, &t));
    ok(mdb_dbi_open(t, nullptr, 0, &dbi_));
    ok(mdb_txn_commit(t));
  }
  ~Lmdb() { mdb_env_close(env_); }
  void settle() { ok(mdb_env_sync(env_, 1)); }

  class Session {
   public:
    explicit Session(Lmdb& e) : e_(e) {}
    ~Session() {
      if (cur_) mdb_cursor_close(cur_);
      if (read_) mdb_txn_abort(read_);
    }
    Status get(Slice k, std::string& out) {
      renew();
      MDB_val key = val(k), v;
      const int rc = mdb_get(read_, e_.dbi_, &key, &v);
      if (rc == 0) out.assign(static_cast<char*>(v.mv_data), v.mv_size);
      mdb_txn_reset(read_);
      return status(rc);
    }
    Status put(Slice k, Slice v) {
      begin(true);
      tput(k, v);
      return commit();
    }
    void load(Slice k, Slice v) {
      MDB_val key = val(k), d = val(v);
      ok(mdb_put(write_, e_.dbi_, &key, &d, 0));
    }
    template <class F>
    void scan(Slice from, u64 n, F& f) {
      renew();
      if (!cur_) {
        ok(mdb_cursor_open(read_, e_.dbi_, &cur_));
      } else {
        ok(mdb_cursor_renew(read_, cur_));
      }
      MDB_val key = val(from), v;
      int rc = mdb_cursor_get(cur_, &key, &v, MDB_SET_RANGE);
      for (; rc == 0 && n > 0; --n) {
        f(Slice(static_cast<char*>(key.mv_data), key.mv_size), Slice(static_cast<char*>(v.mv_data), v.mv_size));
        rc = mdb_cursor_get(cur_, &key, &v, MDB_NEXT);
      }
      mdb_txn_reset(read_);
    }
    void begin(bool write) {
      writing_ = write;
      if (write) {
        ok(mdb_txn_begin(e_.env_, nullptr, 0, &write_));
      } else {
        renew();
      }
    }
    Status tget(Slice k, std::string& out) {
      MDB_val key = val(k), v;
      const int rc = mdb_get(writing_ ? write_ : read_, e_.dbi_, &key, &v);
      if (rc == 0) out.assign(static_cast<char*>(v.mv_data), v.mv_size);
      return status(rc);
    }
    Status tput(Slice k, Slice v) {
      MDB_val key = val(k), d = val(v);
      ok(mdb_put(write_, e_.dbi_, &key, &d, 0));
      return Status::ok;
    }
    Status commit() {
      if (writing_) {
        ok(mdb_txn_commit(write_));
      } else {
        mdb_txn_reset(read_);
      }
      return Status::ok;
    }
    void abort() { writing_ ? mdb_txn_abort(write_) : mdb_txn_reset(read_); }

   private:
    static MDB_val val(Slice s) { return {s.size(), const_cast<char*>(s.data())}; }
    static Status status(int rc) {
      if (rc == MDB_NOTFOUND) return Status::not_found;
      ok(rc);
      return Status::ok;
    }
    void renew() {
      if (read_) {
        ok(mdb_txn_renew(read_));
      } else {
        ok(mdb_txn_begin(e_.env_, nullptr, MDB_RDONLY, &read_));
      }
    }
    Lmdb& e_;
    MDB_txn *read_ = nullptr, *write_ = nullptr;
    MDB_cursor* cur_ = nullptr;
    bool writing_ = false;
  };

 private:
  static void ok(int rc) {
    if (rc != 0) fail(std::string("lmdb: ") + mdb_strerror(rc));
  }
  Config cfg_;
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
};

}  // namespace bench
