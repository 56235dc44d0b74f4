from hypothesis import given
from hypothesis import strategies as st

from d_running.java_text import natural_java, original_java

TOKENISED = """public static int f_gold ( int arr [ ] , int n ) {
  HashMap < Integer , Integer > hm = new HashMap < > ( ) ;
  int [ ] two = { 0 , - 1 } ;
  for ( int i = 0 ;
  i < n - 1 ;
  i ++ ) if ( arr [ i ] <= - n ) ++ two [ 0 ] ;
  do {
    n = ( int ) - 1.5 ;
  }
  while ( n > 0 ) ;
  if ( hm . containsKey ( arr [ 0 ] ) ) {
    return f_gold ( arr , ! true ? 1 : - 1 ) ;
  }
  else {
    System . out . println ( "f ( x ) ; {" ) ;
  }
  return 'x' ;
}
"""
NATURAL = """int solution(int arr[], int n) {
    HashMap<Integer, Integer> hm = new HashMap<>();
    int[] two = {0, -1};
    for (int i = 0; i < n - 1; i++) if (arr[i] <= -n) ++two[0];
    do {
        n = (int) -1.5;
    } while (n > 0);
    if (hm.containsKey(arr[0])) {
        return solution(arr, !true ? 1 : -1);
    } else {
        System.out.println("f ( x ) ; {");
    }
    return 'x';
}"""


def test_tokenised_code_becomes_natural():
    assert natural_java(TOKENISED) == NATURAL


def test_natural_code_keeps_its_lines_and_spaces():
    code = "int solution(int[] a) {\n    for (;;)\n        if (a[0] < 1)\n            return  1;\n}"
    assert natural_java(code) == code
    assert natural_java("public static final " + code.replace("solution", "f_gold")) == code
    assert natural_java(NATURAL) == NATURAL


def test_the_published_name_of_the_function_is_renamed_too():
    assert natural_java(TOKENISED.replace("f_gold", "f_filled")) == NATURAL
    assert natural_java("int f_filled(int n) { return f_filled(n) + my_f_filled; }") == "int solution(int n) { return solution(n) + my_f_filled; }"


def test_the_originals_form_has_a_space_before_brackets_and_indents_of_eight():
    assert original_java("int solution(int mat[][], String s) {\n    return mat[0][(int) s.length()] + f(g(1)); // f(x)\n}") == (
        "int solution (int mat [][], String s) {\n        return mat [0][(int) s.length ()] + f (g (1)); // f(x)\n}"
    )
    assert '                System.out.println ("f ( x ) ; {");' in original_java(NATURAL).split("\n")


@given(st.text(alphabet="ab1(){};,<>=+-!.[] \n\"'/:", max_size=60))
def test_any_text_is_laid_out_once(text):
    once = natural_java("int f_gold ( int a ) { " + text)
    assert "".join(once.split()) == "".join(("int solution ( int a ) { " + text).split())
