// An object that lives until after main enqueues from its destructor, before and after the spool's own end.

#include <spanspool.h>

#include <cstdlib>
#include <string_view>

namespace {

class Telemetry {
public:
    ~Telemetry() {
        if (!handle) return;
        enqueue(R"({"id":"destructor-0"})");
        spanspool_free(handle);
    }

    bool open(const char* dir, const char* endpoint) {
        spanspool_config* config = spanspool_config_new();
        bool ok = !spanspool_config_set(config, "spool_dir", dir, nullptr, 0) &&
                  !spanspool_config_set(config, "endpoint", endpoint, nullptr, 0) &&
                  !spanspool_init(config, &handle, nullptr, 0);
        spanspool_config_free(config);
        return ok;
    }

    void enqueue(std::string_view item) {
        // The exit code can't be changed any more: abort says it.
        if (spanspool_enqueue(handle, item.data(), item.size())) std::abort();
    }

private:
    spanspool_client* handle = nullptr;
};

Telemetry telemetry;

}  // namespace

// usage: static_destructor SPOOL_DIR ENDPOINT
int main(int argc, char** argv) {
    if (argc != 3 || !telemetry.open(argv[1], argv[2])) return 2;
    telemetry.enqueue(R"({"id":"main-0"})");
    return 0;
}
