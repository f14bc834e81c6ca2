// File-system operations relative to a directory descriptor.
//
// Descriptor first, path second. Unless a function says otherwise, a path is resolved *beneath* its
// descriptor (openat2): no "..", no absolute path, no symbolic link and no magic link is followed,
// so a tree that somebody else wrote cannot lead outside itself. All functions throw Error.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace rundlet::base {

// Opens a host path with the caller's own rights, following links. Only for paths the user or
// administrator named.
UniqueFd OpenHostPath(const std::string& path, int flags);
// As OpenHostPath, but a symbolic link anywhere in the path is an error (kInvalid): whoever may
// write there could have it name something else by now.
UniqueFd OpenHostPathWithoutLinks(const std::string& path, int flags);
// Opens beneath `dir`. `flags` are open(2) flags; O_CLOEXEC is added. `mode` is for O_CREAT.
UniqueFd OpenAt(int dir, const std::string& path, int flags, mode_t mode = 0);
// As OpenAt, but an absent file is no error.
std::optional<UniqueFd> TryOpenAt(int dir, const std::string& path, int flags);

// Creates a directory and its missing parents beneath `dir`; existing ones are fine.
void MakeDirs(int dir, const std::string& path, mode_t mode = 0755);
bool ExistsAt(int dir, const std::string& path);
// A link is looked at, not followed; behind one on the way there is nothing.
std::optional<struct stat> StatAt(int dir, const std::string& path);

// Reads at most `limit` bytes; a longer file is an error (kInvalid).
std::string ReadAt(int dir, const std::string& path, size_t limit);
std::string ReadFd(int fd, size_t limit, std::string_view what);
// Writes all bytes to a descriptor.
void WriteFd(int fd, std::string_view bytes, std::string_view what);
// Creates or atomically replaces a file: temporary name, write, fsync when `durable`, rename.
enum class Durability { kNone, kSynced };
void ReplaceAt(int dir, const std::string& path, std::string_view bytes, mode_t mode,
               Durability durability);

struct DirEntry {
  std::string name;
  unsigned char type;  // DT_*; always filled in
};
// Names in a directory, sorted, without "." and "..".
std::vector<DirEntry> ListDir(int dir, const std::string& path = ".");

// Removes a file or a tree of any depth. Follows no link, crosses no mount, makes directories
// writable on the way. An absent name is fine.
void RemoveTree(int dir, const std::string& name);

// A file in memory (memfd_create, close-on-exec) that holds `bytes`, positioned at its start.
UniqueFd MemoryFile(const std::string& name, std::string_view bytes);
Pipe MakePipe(int flags = 0);

// True for a path that has no empty, "." or ".." component, no NUL, is relative and not longer than
// PATH_MAX.
bool IsPlainRelative(std::string_view path);

}  // namespace rundlet::base
