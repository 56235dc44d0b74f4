from d_running.java_text import natural_java
from d_running.prompt import benchmark_prompt, instruction
from tests.tiny import tiny_tokenizer

LLAMA = "{{ bos_token }}{% for message in messages %}[INST] {{ message['content'] }} [/INST]{% endfor %}"
# A line of the published edit requests: what the original put before the model, up to the line that is edited.
TOKENISED = """static int f_gold ( int limit ) {
  if ( limit < 2 ) return 0 ;
  long ef1 = 0 , ef2 = 2 ;
  long sum = ef1 + ef2 ;
  while ( ef2 <= limit ) {
    long ef3 = 4 * ef2 + ef1 ;
    if ( ef3 > limit ) break ;
    ef1 = ef2 ;
    ef2 = ef3 ;
    sum += ef2 ;
  }
  return ( int ) sum ;
}"""
PUBLISHED = """```int solution (int limit) {
        if (limit < 2) return 0;
        long ef1 = 0, ef2 = 2;
        long sum = ef1 + ef2;
        while (ef2 <= limit) {
                long ef3 = 4 * ef2 + ef1;
                if (ef3 > limit) break;
                ef1 = ef2;
                ef2 = ef3;
                sum += ef2;
        }
        return (int) sum;
}``` [/INST] ```d"""


def test_the_originals_prompt_is_that_of_its_published_requests():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = LLAMA
    assert benchmark_prompt(tokenizer, TOKENISED, "original") == f"<s>[INST] {instruction()}\n{PUBLISHED}"
    natural = benchmark_prompt(tokenizer, TOKENISED)
    assert natural == f"<s>[INST] {instruction()}\n```java\n{natural_java(TOKENISED)}\n``` [/INST]```d\n"
    tokenizer.chat_template = LLAMA.replace("[/INST]", "[/INST]\n")
    assert benchmark_prompt(tokenizer, "int solution() {}", "original").endswith("[/INST]\n```d")
