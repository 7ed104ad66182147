// The loader of control vectors that llama.cpp's programs use, which its Python bindings do not offer, for ctypes.
#include <algorithm>
#include <string>
#include <vector>

// As llama.cpp's common.h declares them; the headers of that library are not installed.
struct common_control_vector_data {
    int n_embd;
    std::vector<float> data;
};
struct common_control_vector_load_info {
    float strength;
    std::string fname;
};
common_control_vector_data common_control_vector_load(const std::vector<common_control_vector_load_info> & infos);

// The width, or -1 where llama.cpp refuses the file; `length` values are there, at most `room` are written.
extern "C" int load_control_vector(const char * path, float strength, float * values, size_t room, size_t * length) {
    const auto loaded = common_control_vector_load({{strength, path}});
    *length = loaded.data.size();
    std::copy_n(loaded.data.begin(), std::min(room, *length), values);
    return loaded.n_embd;
}
